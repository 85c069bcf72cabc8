"""Settings made from a few command-line values, without a configuration file."""

from collections.abc import Sequence
from dataclasses import replace

from bgpd.config.settings import (
    ApiSettings,
    DaemonSettings,
    FibSettings,
    LogFormat,
    LogSettings,
    MetricsSettings,
    SpeakerSettings,
)
from bgpd.session.settings import FamilySettings, PeerSettings, RangeSettings
from rib.decision import DecisionOptions
from rib.family import IPV4_UNICAST, IPV6_UNICAST


def reflector_settings(
    *,
    listen: Sequence[str],
    port: int,
    asn: int,
    router_id: str,
    cluster_id: str,
    clients: Sequence[str],
    has_fib: bool,
    control_path: str,
    hold_time: int,
    log_level: str,
    max_clients: int,
    log_format: str = "text",
    metrics: MetricsSettings = MetricsSettings(),  # noqa: B008  # it is frozen
    api: ApiSettings = ApiSettings(),  # noqa: B008  # the same
) -> DaemonSettings:
    """Return the settings of a reflector whose clients come from prefixes.

    Next hops are trusted: a reflector off the forwarding path has no way to judge them.
    One that forwards (``has_fib``) asks the kernel.
    """
    client = PeerSettings(
        name="",
        remote_addr="",
        remote_as=asn,
        local_as=asn,
        is_client=True,
        hold_time=hold_time,
        families=(FamilySettings(IPV4_UNICAST), FamilySettings(IPV6_UNICAST)),
    )
    return DaemonSettings(
        node_name="",
        speaker=SpeakerSettings(
            asn=asn,
            router_id=router_id,
            cluster_id=cluster_id,
            listen_addresses=tuple(listen),
            listen_port=port,
            decision=DecisionOptions(),
            defaults=replace(client, is_client=False),
        ),
        ranges=tuple(
            RangeSettings(f"clients {prefix}", prefix, max_clients, client)
            for prefix in clients
        ),
        fib=FibSettings(is_enabled=has_fib),
        trusts_next_hops=not has_fib,
        control_path=control_path,
        log=LogSettings(log_level, LogFormat(log_format)),
        metrics=metrics,
        api=api,
    )
