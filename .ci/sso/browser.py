"""A scripted browser, as plain as can be: cookies for each host, redirects, forms. For the self-test only.

It knows nothing of the library under test, so what it gets through, the programs allow.
"""

import html.parser
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request

LIMIT = 30


class Form:
    def __init__(self, attributes):
        self.id, self.name = attributes.get("id"), attributes.get("name")
        self.action, self.method = attributes.get("action"), attributes.get("method", "get").lower()
        self.fields = {}


class Reader(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.forms, self.links, self.kind, self.inside = [], {}, None, False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.forms.append(Form(attributes))
            self.inside = True
        elif tag == "input" and self.inside and attributes.get("name") and attributes.get("type") not in ("checkbox", "submit"):
            self.forms[-1].fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "a" and "id" in attributes:
            self.links[attributes["id"]] = attributes.get("href", "")
        elif tag == "body":
            self.kind = attributes.get("data-page-id")

    def handle_endtag(self, tag):
        if tag == "form":
            self.inside = False


class Page:
    def __init__(self, url, status, headers, text):
        self.url, self.status, self.headers, self.text = url, status, headers, text
        reader = Reader(text) if "html" in (headers.get("content-type") or "") else Reader("")
        self.forms, self.links, self.kind = reader.forms, reader.links, reader.kind

    def form(self, *names):
        """The form that has these fields."""
        found = [form for form in self.forms if all(name in form.fields for name in names)]
        assert len(found) == 1, f"{self}: {len(found)} forms with {names}"
        return found[0]

    def __str__(self):
        return f"{self.status} {self.url.split('?')[0]} {self.kind or ''} {self.text[:300]!r}"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Browser:
    def __init__(self, ca_file):
        context = ssl.create_default_context(cafile=ca_file)
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), NoRedirect
        )
        # By host, path and name; ports share cookies, as in a real browser.
        self.jar, self.steps = {}, []

    def cookies(self, url):
        parts = urllib.parse.urlsplit(url)
        sent = []
        for (host, path, name), (value, secure) in self.jar.items():
            # A loopback address is as safe as TLS for a browser, and Keycloak relies on that: it sets `Secure` there.
            safe = parts.scheme == "https" or parts.hostname.startswith("127.")
            if host == parts.hostname and (parts.path or "/").startswith(path) and (safe or not secure):
                sent.append(f"{name}={value}")
        return "; ".join(sent)

    def keep(self, url, lines):
        parts = urllib.parse.urlsplit(url)
        for line in lines:
            # Not every server's dates and values are to the taste of http.cookies.
            pair, *rest = line.split(";")
            name, _, value = pair.strip().partition("=")
            attributes = {key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
            key = (parts.hostname, attributes.get("path", "/"), name)
            if attributes.get("max-age") == "0" or not value or "1970" in attributes.get("expires", ""):
                self.jar.pop(key, None)
            else:
                self.jar[key] = (value, "secure" in attributes)

    def once(self, url, data=None, headers=None):
        request = urllib.request.Request(url, data=data, headers={**(headers or {}), "accept": "text/html, */*"})
        if cookies := self.cookies(url):
            request.add_header("cookie", cookies)
        try:
            answer = self.opener.open(request, timeout=LIMIT)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode("utf-8", "replace")
            self.keep(url, answer.headers.get_all("set-cookie") or [])
            page = Page(url, answer.status, answer.headers, text)
        self.steps.append(("POST" if data is not None else "GET", url.split("?")[0], page.status))
        return page

    def open(self, url, data=None):
        """Follows redirects, at most 20."""
        for _ in range(20):
            page = self.once(url, data)
            if page.status not in (301, 302, 303):
                return page
            url, data = urllib.parse.urljoin(url, page.headers["location"]), None
        raise AssertionError(f"too many redirects: {self.steps}")

    def submit(self, page, form, **values):
        target = urllib.parse.urljoin(page.url, form.action or page.url)
        data = urllib.parse.urlencode({**form.fields, **values}, encoding="utf-8")
        if form.method == "get":
            return self.open(f"{target}?{data}")
        return self.open(target, data.encode())

    def cookie_names(self, host):
        return sorted(name for cookie_host, _, name in self.jar if cookie_host == host)


def origin(url):
    return re.match(r"https?://[^/]+", url).group()
