"""The program `login` from outside: every way in that the sandbox imitates, and what a refusal looks like."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import harness  # noqa: E402

RELEASES = ("1.6", "1.8", "1.9", "1.11")
PROVIDERS = ("password", "ldap", "cognito", "cognito-entra", "keycloak")


def login(box, *flags, password=None, origins=None, env=None):
    named = box.idp_origins if origins is None else origins
    providers = [flag for origin in named for flag in ("--idp-origin", origin)]
    password = password or box.password
    process = harness.start(
        "login", "--url", box.url, "--username", box.username, *providers, *flags, password=password, env=env
    )
    return harness.finish(process, secrets=[password])


class Login(unittest.TestCase):
    def finish(self, done, status):
        self.assertEqual(done.status, status, done)
        return done

    def test_every_provider_behind_every_release(self):
        for release in RELEASES:
            for provider in PROVIDERS:
                with self.subTest(release=release, provider=provider):
                    with harness.sandbox("--release", release, "--idp", provider, "--simulate") as box:
                        done = login(box)
                        self.assertEqual(done.status, 0, done.err)
                        cookie = done.report
                        self.assertEqual(cookie["kind"], "cookie")
                        self.assertTrue(cookie["value"] and cookie["expires_at"])
                        self.assertNotIn(cookie["value"], done.err)

    def test_a_provider_that_was_not_named_is_told(self):
        with harness.sandbox("--idp", "cognito-entra", "--simulate") as box:
            broker, company = box.idp_origins
            for named, missing in (([], broker), ([broker], company)):
                done = self.finish(login(box, origins=named), 3)
                self.assertIn(f"--idp-origin {missing}", done.err)
                self.assertEqual(done.out, "")

    def test_a_wrong_password_is_told(self):
        for provider in PROVIDERS:
            with harness.sandbox("--idp", provider, "--simulate") as box:
                done = self.finish(login(box, password="wrong-password"), 3)
                self.assertIn("refused the user name or password", done.err)
                self.assertNotIn("wrong-password", done.err)

    def test_a_broker_is_told_by_its_button(self):
        with harness.sandbox("--idp", "cognito-entra", "--simulate") as box:
            broker, company = box.idp_origins
            self.finish(login(box, origins=[f"{broker}=AzureAD", company]), 0)
            done = self.finish(login(box, origins=[f"{broker}=Other", company]), 2)
            self.assertIn("AzureAD", done.err)

    def test_a_login_is_explained(self):
        with harness.sandbox("--idp", "cognito-entra", "--simulate") as box:
            done = login(box, "--explain")
            self.assertEqual(done.status, 0, done.err)
            for part in (*box.idp_origins, "(password)", "SAML", "logged in"):
                self.assertIn(part, done.err)
            self.assertNotIn("?", done.err)
            diagram = login(box, "--explain=mermaid", password="wrong-password")
            self.assertEqual(diagram.status, 3)
            self.assertIn("sequenceDiagram", diagram.err)

    def test_a_secret_that_is_none_is_refused_before_anything_is_sent(self):
        with harness.sandbox("--simulate") as box:
            done = self.finish(login(box, env={"KUBEFLOW_TOTP_SECRET": "not base32!"}), 2)
            self.assertIn("KUBEFLOW_TOTP_SECRET", done.err)
            self.assertNotIn("not base32!", done.err)

    def test_a_training_passes_the_whole_chain(self):
        with harness.sandbox("--idp", "cognito-entra") as box:
            providers = [flag for origin in box.idp_origins for flag in ("--idp-origin", origin)]
            done = harness.finish(
                harness.start("train", *box.flags(), *providers, "--report", "json", password=box.password)
            )
            self.assertEqual(done.status, 0, done)
            self.assertEqual(done.report["state"], "succeeded")


if __name__ == "__main__":
    unittest.main()
