"""The real programs by hand: what a plain scripted browser gets through them, a client must get through too.

    python3 .ci/sso/start.py -- python3 .ci/sso/selftest.py
"""

import base64
import hashlib
import hmac
import json
import os
import struct
import sys
import time
import unittest
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import harness  # noqa: E402
from browser import Browser, origin  # noqa: E402

with open(os.environ["SSO_TEST_SETUP"], encoding="utf-8") as text:
    SETUP = json.load(text)
# oauth2-proxy takes this for an API, as all paths with `/apis/`, and the small server behind it tells who is there.
API = "/identity/apis/me"
SHORT = SETUP["session_seconds"]


def totp(secret):
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at:at + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def control(what, method="GET"):
    request = urllib.request.Request(f"{SETUP['control']}/{what}", method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class ByHand(unittest.TestCase):
    def setUp(self):
        self.browser = Browser(SETUP["ca_file"])

    def start(self, gateway):
        self.gateway = SETUP["gateways"][gateway]
        self.host = urllib.parse.urlsplit(self.gateway).hostname
        return self.browser.open(f"{self.gateway}/oauth2/start?rd={urllib.parse.quote(API)}")

    def api(self):
        return self.browser.once(self.gateway + API)

    def is_in(self, page, user):
        self.assertEqual(page.status, 200, str(page))
        self.assertEqual(page.url, self.gateway + API)
        self.assertEqual(json.loads(page.text)["kubeflow-userid"], SETUP["users"][user]["email"])
        self.assertEqual(json.loads(self.api().text)["kubeflow-userid"], SETUP["users"][user]["email"])

    def is_out(self):
        page = self.api()
        self.assertEqual((page.status, page.text), (401, "{}"))

    def keycloak(self, page, user, password=None):
        user = SETUP["users"][user]
        self.assertEqual(page.kind, "login-login", str(page))
        return self.browser.submit(
            page, page.form("username", "password"), username=user["username"], password=password or user["password"]
        )

    def federated(self, page, scheme="http"):
        """From the broker's page to the company's."""
        self.assertEqual(origin(page.url), SETUP["origins"]["broker"][scheme])
        # The broker's own form is beside the button.
        page.form("username", "password")
        page = self.browser.open(urllib.parse.urljoin(page.url, page.links[f"social-{SETUP['federated']}"]))
        self.assertEqual(origin(page.url), SETUP["origins"]["company"][scheme])
        return page

    def saml(self, page):
        self.assertEqual((page.status, page.kind), (200, "login-saml-post-form"), str(page))
        return self.browser.submit(page, page.form("SAMLResponse", "RelayState"))

    def through_the_chain(self, gateway, user, scheme="http"):
        page = self.federated(self.start(gateway), scheme)
        self.is_in(self.saml(self.keycloak(page, user)), user)


class Logins(ByHand):
    def test_the_gateway_without_a_session(self):
        self.gateway = SETUP["gateways"]["chain"]
        self.is_out()
        page = self.browser.once(f"{self.gateway}/pipeline/")
        self.assertEqual(page.status, 403)
        self.assertEqual([form.action for form in page.forms], ["/oauth2/start"])
        self.assertEqual(self.browser.once(f"{self.gateway}/oauth2/auth").status, 401)
        self.assertEqual(self.browser.once(f"{self.gateway}/", headers={"authorization": "Basic eDp5"}).text, "RBAC: access denied")

    def test_the_whole_chain(self):
        self.through_the_chain("chain", "alice")
        self.assertEqual(self.browser.cookie_names(self.host), ["oauth2_proxy_kubeflow"])
        self.assertEqual(self.browser.once(f"{self.gateway}/oauth2/auth").status, 202)
        posts = [url for method, url, _ in self.browser.steps if method == "POST"]
        self.assertEqual([origin(url) for url in posts], [SETUP["origins"]["company"]["http"], SETUP["origins"]["broker"]["http"]])

    def test_the_whole_chain_over_tls(self):
        self.through_the_chain("tls", "alice", "https")
        self.assertTrue(all(url.startswith("https:") for _, url, _ in self.browser.steps))
        self.assertTrue(self.browser.jar[self.host, "/", "oauth2_proxy_kubeflow"][1], "Secure")

    def test_the_brokers_own_people(self):
        self.is_in(self.keycloak(self.start("chain"), "local"), "local")

    def test_one_time_password(self):
        page = self.keycloak(self.federated(self.start("chain")), "trent")
        self.assertEqual(page.kind, "login-login-otp", str(page))
        page = self.browser.submit(page, page.form("otp"), otp=totp(SETUP["users"]["trent"]["totp_secret"]))
        self.is_in(self.saml(page), "trent")

    def test_the_chain_to_kubeflow_pipelines(self):
        if not SETUP["has_kfp"]:
            self.skipTest("start.py was not given --sandbox")
        self.gateway = SETUP["gateways"]["chain"]
        pipelines = f"{self.gateway}/pipeline/apis/v2beta1/pipelines"
        self.assertEqual(self.browser.once(pipelines).status, 401)
        self.through_the_chain("chain", "heidi")
        page = self.browser.once(pipelines)
        self.assertEqual((page.status, page.headers.get_content_type()), (200, "application/json"), str(page))

    def test_straight_to_the_company(self):
        self.is_in(self.keycloak(self.start("direct"), "alice"), "alice")

    def test_the_second_provider(self):
        page = self.start("other")
        self.assertEqual(origin(page.url), SETUP["origins"]["other"]["http"])
        user = SETUP["users"]["alice"]
        page = self.browser.submit(page, page.form("login", "password"), login=user["username"], password=user["password"])
        self.is_in(page, "alice")

    def test_consent_at_the_second_provider(self):
        page, user = self.start("consent"), SETUP["users"]["alice"]
        page = self.browser.submit(page, page.form("login", "password"), login=user["username"], password=user["password"])
        form = page.form("prompt")
        self.assertEqual(form.fields, {"prompt": "consent"})
        self.is_in(self.browser.submit(page, form), "alice")


class Endings(ByHand):
    def test_a_short_session_ends_and_is_renewed_with_the_providers_sessions(self):
        self.through_the_chain("short", "alice")
        harness.until("the session has ended", lambda: self.api().status == 401, SHORT["short"] + 5)
        self.is_out()
        # Not a single form: Keycloak still knows the browser.
        before = len(self.browser.steps)
        self.is_in(self.start("short"), "alice")
        self.assertNotIn("POST", [method for method, _, _ in self.browser.steps[before:]])

    def test_a_token_that_ends_before_its_session(self):
        page = self.keycloak(self.start("stale"), "alice")
        self.assertEqual(page.status, 200, str(page))
        harness.until("the token has ended", lambda: self.api().status == 401, SHORT["stale"] + 10)
        self.assertEqual(self.api().text, "Jwt is expired")
        self.assertEqual(self.browser.once(f"{self.gateway}/oauth2/userinfo").status, 200)

    def test_sign_out(self):
        self.is_in(self.keycloak(self.start("direct"), "alice"), "alice")
        self.browser.once(f"{self.gateway}/oauth2/sign_out?rd=/")
        self.is_out()


class Refusals(ByHand):
    def test_wrong_password_and_unknown_user_look_alike(self):
        before = control("logins/heidi")
        for user, password in (("heidi", "wrong"), ("heidi", None)):
            page = self.start("direct")
            name = SETUP["users"][user]["username"] if password else "nobody"
            page = self.browser.submit(page, page.form("username", "password"), username=name, password="wrong")
            self.assertEqual((page.status, page.kind), (200, "login-login"))
            self.assertIn("input-error-username", page.text)
        after = control("logins/heidi")
        self.assertEqual(after["refused"] - before["refused"], 1)
        self.assertEqual(after["accepted"], before["accepted"])

    def test_a_locked_account_refuses_the_right_password_too(self):
        for _ in range(4):
            page = self.keycloak(self.start("direct"), "grace", "wrong")
        page = self.keycloak(self.start("direct"), "grace")
        self.assertEqual((page.status, page.kind), (200, "login-login"))

    def test_a_person_is_needed(self):
        for user, kind in (("bob", "login-login-update-password"), ("erin", "login-login-config-totp")):
            self.assertEqual(self.keycloak(self.start("direct"), user).kind, kind)

    def test_the_second_provider_shows_its_form_again(self):
        page = self.start("other")
        page = self.browser.submit(page, page.form("login", "password"), login="alice", password="wrong")
        page.form("login", "password")
        self.assertEqual(page.status, 200)

    def test_the_check_service_is_not_there(self):
        self.gateway = SETUP["gateways"]["broken"]
        page = self.api()
        self.assertEqual((page.status, page.text), (403, ""))

    def test_the_certificate_is_a_private_one(self):
        with self.assertRaisesRegex(urllib.error.URLError, "CERTIFICATE_VERIFY_FAILED"):
            Browser(None).once(SETUP["gateways"]["tls"])


class Control(ByHand):
    def test_requests_of_a_gateway(self):
        self.gateway = SETUP["gateways"]["consent"]
        before = len(control("requests/consent"))
        self.api()
        self.assertEqual(control("requests/consent")[before:], [["GET", API, 401]])

    def test_a_program_is_stopped_and_started(self):
        self.gateway = SETUP["gateways"]["consent"]
        control("stop/oauth2-proxy-consent", "POST")
        self.assertEqual((self.api().status, self.api().text), (403, ""))
        control("start/oauth2-proxy-consent", "POST")
        harness.until("the gateway asks again", lambda: self.api().status == 401, 20)


if __name__ == "__main__":
    harness.main()
