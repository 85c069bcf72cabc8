"""The page that the daemon serves at ``/``: files for a browser, and what is served with them.

No build step: what is in ``static`` is what runs in the browser. The API's server answers with
them (``bgpd.api.page``); the page itself holds no secret and asks for a token where the API wants one.
"""
