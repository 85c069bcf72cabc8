"""The page's files as they are served."""

import re

from bgpd.page.files import FILES

VERSION = next(path for path in FILES if path != "/").split("/")[2]


def test_every_file_has_the_digest_of_all_in_its_path_and_is_kept_for_ever() -> None:
    for path, file in FILES.items():
        assert file.headers["ETag"] == f'"{VERSION}"'
        if path != "/":
            assert path.startswith(f"/page/{VERSION}/")
            assert file.headers["Cache-Control"].endswith("immutable")
    assert FILES["/"].headers["Cache-Control"] == "no-cache"


def test_the_policy_allows_our_own_files_alone_and_no_text_as_markup() -> None:
    for file in FILES.values():
        policy = file.headers["Content-Security-Policy"]
        assert policy.startswith(
            "default-src 'none'; script-src 'self'; style-src 'self'"
        )
        assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
        assert "unsafe" not in policy
        assert file.headers["X-Content-Type-Options"] == "nosniff"


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    index = FILES["/"].body.decode()
    assert re.findall(r"<script(?![^>]* src=)|<style| on\w+=| style=", index) == []
    linked = re.findall(r'(?:src|href)="([^"#]+)"', index)
    assert {f"/{name}" for name in linked} <= set(FILES)
    for path, file in FILES.items():
        text = file.body.decode()
        urls = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}
        assert urls == set(), path
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text
        )


def test_the_browser_fetches_all_modules_at_once() -> None:
    index = FILES["/"].body.decode()
    for path in FILES:
        if path.endswith(".js"):
            assert path[1:] in index
