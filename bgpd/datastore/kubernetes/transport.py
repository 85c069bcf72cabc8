"""Connections to Kubernetes' API whose failures name the server."""

from httpx2 import AsyncHTTPTransport, ConnectError, ConnectTimeout, Request, Response


class NamingTransport(AsyncHTTPTransport):
    """The library's transport: its failures to connect do not say where to."""

    async def handle_async_request(self, request: Request) -> Response:
        """Send a request.

        Raises:
            ConnectError: There is no connection; the text names the server.
        """
        try:
            return await super().handle_async_request(request)
        except (ConnectError, ConnectTimeout) as error:
            text = str(error) or "no answer in time"
            where = f"{request.url.scheme}://{request.url.netloc.decode()}"
            raise ConnectError(f"{where}: {text}", request=request) from error
