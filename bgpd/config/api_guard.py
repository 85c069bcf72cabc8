"""What an address of the API needs, so that no token travels in clear. Pure."""

from collections.abc import Iterator
from ipaddress import ip_address

from bgpd.config.settings import ApiSettings


def missing_of_api(api: ApiSettings) -> Iterator[tuple[str, str]]:
    """Yield each key that is missing, and why it is needed; nothing without an address."""
    if not api.address:
        return
    if bool(api.cert_file) != bool(api.key_file):
        missing = "key_file" if api.cert_file else "cert_file"
        yield missing, "set both cert_file and key_file, or neither"
    if ip_address(api.address).is_loopback:
        return
    beyond = "an address that is not of the loopback needs this key"
    if not api.cert_file:
        yield "cert_file", f"{beyond}: tokens must not travel in clear"
    if not (api.read_token_file or api.full_token_file):
        yield "read_token_file", f"{beyond}, or full_token_file"
