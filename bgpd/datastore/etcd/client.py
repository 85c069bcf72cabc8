"""One connection to one etcd member: calls, authentication, and the watch stream.

Nothing is retried here but a call whose token expired; the datastore above chooses the
next endpoint. A frozen server, whose kernel still acknowledges, is noticed by HTTP/2 pings.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

from google.protobuf.message import Message
from grpclib.client import Channel, Stream, StreamStreamMethod, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.const import Status as GrpcStatus
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from bgpd.datastore.connect_faults import socket_fault
from bgpd.datastore.etcd.rpc_pb2 import (
    AuthenticateRequest,
    AuthenticateResponse,
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    WatchRequest,
    WatchResponse,
)
from bgpd.datastore.etcd.tls_files import tls_context
from bgpd.datastore.model import DatastoreError

WINDOW_OCTETS: Final = 16 * 1024 * 1024  # HTTP/2; a page of large values in flight
MAX_ANSWER: Final = 16 << 20
"""Octets of one answer. A page of 5,000 Nodes has some 8 MiB; to parse the most there is holds
the loop for some 25 ms."""
ETCD_PORT: Final = 2379

Reply = TypeVar("Reply", bound=Message)


class EtcdError(DatastoreError):
    """A call failed or the connection is gone; another endpoint may work."""


class TooLargeError(EtcdError):
    """An answer is larger than the limit; a request for fewer keys may succeed."""


class CompactedError(EtcdError):
    """The wanted revision is no longer kept: only a new snapshot helps."""


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """How to reach a cluster.

    Attributes:
        endpoints: ``https://name:2379``, ``http://...`` or ``name:port``; tried in order.
        ca_file: Certificates that servers are checked against; empty is the system's.
        cert_file: Client certificate chain, PEM; empty for none.
        key_file: Its key, PEM.
        user: Empty for no password authentication.
        password: Of ``user``.
        call_timeout: Seconds for connecting and for each call.
        keepalive_time: Seconds of silence before a ping; etcd refuses under 5.
        keepalive_timeout: Seconds an answer to a ping may take.
        page_keys: Keys per read of a snapshot; more bring no speed, fewer are slower.
    """

    endpoints: tuple[str, ...]
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    call_timeout: float = 5.0
    keepalive_time: float = 10.0
    keepalive_timeout: float = 3.0
    page_keys: int = 5000

    @property
    def has_tls_files(self) -> bool:
        """Whether an endpoint without a scheme means TLS."""
        return bool(self.ca_file or self.cert_file)


def split_endpoint(endpoint: str, *, is_tls: bool = False) -> tuple[str, int, bool]:
    """Return host, port and whether TLS is spoken; ``is_tls`` where no scheme says.

    Raises:
        DatastoreError: It is not the URL of an endpoint.
    """
    scheme, separator, rest = endpoint.rpartition("://")
    if separator and scheme not in {"http", "https"}:
        raise DatastoreError(
            f"etcd endpoint {endpoint!r}: the scheme must be http or https"
        )
    rest = rest.rstrip("/")
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = rest.partition(":")
    if not host or (port and not port.isdecimal()) or int(port or 1) > 65535:
        raise DatastoreError(f"etcd endpoint {endpoint!r}: expected a host and a port")
    is_tls = scheme == "https" if separator else is_tls
    return host, int(port or ETCD_PORT), is_tls


def prefix_end(prefix: bytes) -> bytes:
    """Return the first key after all keys that begin with ``prefix``."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


class Connection:
    """A channel to one endpoint; close it, or use it as a context.

    Raises:
        DatastoreError: The endpoint or the TLS files cannot be used.
    """

    def __init__(self, endpoint: str, settings: EtcdSettings) -> None:
        host, port, is_tls = split_endpoint(endpoint, is_tls=settings.has_tls_files)
        self.endpoint = endpoint
        self._settings = settings
        self._token = ""
        self._channel = Channel(
            host,
            port,
            ssl=tls_context(settings) if is_tls else None,
            config=Configuration(
                _keepalive_time=settings.keepalive_time,
                _keepalive_timeout=settings.keepalive_timeout,
                _keepalive_permit_without_calls=True,
                _http2_max_pings_without_data=0,
                _http2_min_sent_ping_interval_without_data=settings.keepalive_time,
                http2_connection_window_size=WINDOW_OCTETS,
                http2_stream_window_size=WINDOW_OCTETS,
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection with all its streams."""
        self._channel.close()

    async def authenticate(self) -> None:
        """Get a token if a user is set; every stream needs a new one.

        Raises:
            EtcdError: User and password are refused, or the call failed.
        """
        if not self._settings.user:
            return
        request = AuthenticateRequest(
            name=self._settings.user, password=self._settings.password
        )
        self._token = ""
        try:
            reply = await self._call("Auth/Authenticate", request, AuthenticateResponse)
        except EtcdError as error:
            # A cluster that asks for no password is served, as etcd's own client does.
            if _status_of(error) is not GrpcStatus.FAILED_PRECONDITION:
                raise
            return
        self._token = reply.token

    async def read(self, request: RangeRequest) -> RangeResponse:
        """Read keys; linearizable unless the request says otherwise.

        Raises:
            CompactedError: The revision asked for is gone.
            TooLargeError: What the keys hold is more than ``MAX_ANSWER``.
            EtcdError: The call failed.
        """
        return await self._authenticated("KV/Range", request, RangeResponse)

    async def put(self, key: str, value: bytes) -> int:
        """Write one key; return the revision.

        Raises:
            EtcdError: The call failed; whether it was done is not known.
        """
        request = PutRequest(key=key.encode(), value=value)
        reply = await self._authenticated("KV/Put", request, PutResponse)
        return reply.header.revision

    async def delete(self, key: str) -> int:
        """Delete one key; return the revision.

        Raises:
            EtcdError: As ``put``.
        """
        request = DeleteRangeRequest(key=key.encode())
        reply = await self._authenticated(
            "KV/DeleteRange", request, DeleteRangeResponse
        )
        return reply.header.revision

    async def compact(self, revision: int) -> None:
        """Forget all history before ``revision``.

        Raises:
            EtcdError: The call failed.
        """
        request = CompactionRequest(revision=revision, physical=True)
        await self._authenticated("KV/Compact", request, CompactionResponse)

    def watch(self) -> "Stream[WatchRequest, WatchResponse]":
        """Return the watch stream; ends when the member loses its leader."""
        method: Any = StreamStreamMethod(
            self._channel, "/etcdserverpb.Watch/Watch", WatchRequest, WatchResponse
        )
        # Without this a member cut off from its cluster stays silent for ever.
        return method.open(metadata={**self._metadata(), "hasleader": "true"})

    async def _authenticated(
        self, path: str, request: Message, reply: type[Reply]
    ) -> Reply:
        try:
            return await self._call(path, request, reply)
        except EtcdError as error:
            is_expired = _status_of(error) is GrpcStatus.UNAUTHENTICATED
            if not is_expired or not self._settings.user:
                raise
        await self.authenticate()
        return await self._call(path, request, reply)

    async def _call(self, path: str, request: Message, reply: type[Reply]) -> Reply:
        method: Any = UnaryUnaryMethod(
            self._channel, f"/etcdserverpb.{path}", type(request), reply
        )
        with errors_named():
            # Around all of it: grpclib's own deadline begins after connecting.
            async with asyncio.timeout(self._settings.call_timeout):
                async with method.open(metadata=self._metadata()) as stream:
                    await stream.send_message(request, end=True)
                    _refuse_more(stream)
                    result: Reply = await stream.recv_message()
        return result

    def _metadata(self) -> dict[str, str]:
        return {"token": self._token} if self._token else {}


def _refuse_more(stream: Any) -> None:  # noqa: ANN401  # the library has no types
    """Refuse a message of more than ``MAX_ANSWER`` before it is received.

    The library has no limit of its own, and asks for as many octets as a message says it has.
    What is refused has at most ``WINDOW_OCTETS`` on their way.
    """
    channel = stream._stream  # as above
    receive = channel.recv_data

    async def receive_some(octets: int) -> bytes:
        if octets > MAX_ANSWER:
            found = f"an answer of {octets} octets"
            raise TooLargeError(f"{found}; the limit is {MAX_ANSWER}")
        received: bytes = await receive(octets)
        return received

    channel.recv_data = receive_some


@contextmanager
def errors_named() -> Iterator[None]:
    """Turn whatever a broken connection raises into ``EtcdError``."""
    try:
        yield
    except GRPCError as error:
        if error.status is GrpcStatus.OUT_OF_RANGE:
            raise CompactedError(f"{error.message}") from error
        raise EtcdError(f"{error.status.name}: {error.message}") from error
    except OSError as error:
        raise EtcdError(socket_fault(error)) from error
    except (StreamTerminatedError, ProtocolError) as error:
        raise EtcdError("the connection was lost") from error


def _status_of(error: EtcdError) -> GrpcStatus | None:
    cause = error.__cause__
    return cause.status if isinstance(cause, GRPCError) else None
