"""The realms of Keycloak: the company's identity provider, and the broker in front of it.

`corp` stands in for Entra ID: people of the LDAP server, SAML out. `cognito` stands in for Amazon Cognito: it has people
and a login form of its own and a button to the company's provider, SAML in, OpenID Connect out. `cognito-tls` is the same
for the chain in which every host speaks TLS.
"""

import json

import slapd


def pem(path):
    """What Keycloak wants of a PEM file: the base 64 alone."""
    with open(path, encoding="ascii") as text:
        return "".join(line.strip() for line in text if not line.startswith("-----"))


def signing_key(certificate, key):
    return {"org.keycloak.keys.KeyProvider": [{
        "name": "signing", "providerId": "rsa", "subComponents": {},
        "config": {
            "priority": ["200"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"],
            "privateKey": [pem(key)], "certificate": [pem(certificate)],
        },
    }]}


def realm(name, **more):
    return {
        "realm": name, "displayName": f"{name} sign-in", "enabled": True, "sslRequired": "none", "rememberMe": True,
        "loginWithEmailAllowed": True,
        # Longer than any test: when a session ends is the gateway's business here.
        "accessTokenLifespan": 3600,
        "eventsListeners": ["jboss-logging"],
        **more,
    }


def client(gateway):
    """A gateway as its realm knows it."""
    attributes = {"access.token.lifespan": str(gateway.token_seconds)} if gateway.token_seconds else {}
    return {
        "clientId": gateway.name, "protocol": "openid-connect", "publicClient": False, "secret": gateway.client_secret,
        "enabled": True, "redirectUris": [gateway.callback], "standardFlowEnabled": True,
        "directAccessGrantsEnabled": False, "attributes": {**attributes, "pkce.code.challenge.method": "S256"},
    }


def user(person, federation):
    told = {
        "username": person.name, "email": person.email, "emailVerified": True, "enabled": True,
        "firstName": person.name.capitalize(), "lastName": "Example",
        "requiredActions": [person.required_action] if person.required_action else [],
        "id": person.uuid,
        "credentials": [],
    }
    if person.realm:
        told["credentials"].append({"type": "password", "value": person.password, "temporary": False})
    else:
        # The directory's person, to whom the realm has added something.
        told["federationLink"] = federation
        told["attributes"] = {
            "LDAP_ID": [person.uuid], "LDAP_ENTRY_DN": [f"uid={person.name},{slapd.PEOPLE}"],
        }
    if person.with_totp:
        told["credentials"].append({
            "type": "otp", "secretData": json.dumps({"value": person.totp_text}),
            "credentialData": json.dumps({"subType": "totp", "period": 30, "digits": 6, "algorithm": "HmacSHA1"}),
        })
    return told


FEDERATION = "directory-of-corp"


def federation(directory):
    def mapper(name, attribute, ldap, mandatory=True):
        return {"name": name, "providerId": "user-attribute-ldap-mapper", "subComponents": {}, "config": {
            "ldap.attribute": [ldap], "user.model.attribute": [attribute], "is.mandatory.in.ldap": [str(mandatory).lower()],
            "read.only": ["true"], "always.read.value.from.ldap": ["true"],
        }}

    return {"org.keycloak.storage.UserStorageProvider": [{
        "id": FEDERATION, "name": "directory", "providerId": "ldap",
        "subComponents": {"org.keycloak.storage.ldap.mappers.LDAPStorageMapper": [
            mapper("username", "username", "uid"), mapper("email", "email", "mail"),
            mapper("first name", "firstName", "givenName"), mapper("last name", "lastName", "sn"),
        ]},
        "config": {
            "enabled": ["true"], "vendor": ["other"], "editMode": ["READ_ONLY"], "importEnabled": ["true"],
            "connectionUrl": [directory.url], "usersDn": [slapd.PEOPLE], "searchScope": ["1"],
            "authType": ["simple"], "bindDn": [slapd.ADMIN], "bindCredential": [directory.admin_password],
            "usernameLDAPAttribute": ["uid"], "rdnLDAPAttribute": ["uid"], "uuidLDAPAttribute": ["entryUUID"],
            "userObjectClasses": ["inetOrgPerson"], "trustEmail": ["true"], "priority": ["0"], "pagination": ["false"],
            "cachePolicy": ["NO_CACHE"], "connectionTimeout": ["5000"], "readTimeout": ["5000"],
        },
    }]}


def corp(brokers, gateways, people, directory, certificate, key):
    own = [person for person in people if person.realm == "corp" or (not person.realm and person.with_totp)]
    return realm(
        "corp", bruteForceProtected=True, failureFactor=3, waitIncrementSeconds=300, maxFailureWaitSeconds=900,
        quickLoginCheckMilliSeconds=10,
        users=[user(person, FEDERATION) for person in own],
        clients=[client(gateway) for gateway in gateways] + [saml_client(broker) for broker in brokers],
        components={**signing_key(certificate, key), **federation(directory)},
    )


def saml_client(broker):
    """The broker as the company's provider knows it."""
    endpoint = f"{broker}/broker/AzureAD/endpoint"
    properties = [("email", "email"), ("firstName", "firstName"), ("lastName", "lastName")]
    return {
        "clientId": broker, "protocol": "saml", "enabled": True, "redirectUris": [endpoint],
        "attributes": {
            "saml.assertion.signature": "true", "saml.server.signature": "true", "saml.client.signature": "false",
            "saml.authnstatement": "true", "saml.force.post.binding": "true", "saml_name_id_format": "email",
            "saml_force_name_id_format": "true", "saml.signature.algorithm": "RSA_SHA256",
            "saml_assertion_consumer_url_post": endpoint,
        },
        "protocolMappers": [
            {"name": name, "protocol": "saml", "protocolMapper": "saml-user-property-mapper", "config": {
                "user.attribute": attribute, "attribute.name": name, "friendly.name": name, "attribute.nameformat": "Basic",
            }} for name, attribute in properties
        ],
    }


def broker(name, url, provider, gateways, people, certificate):
    def mapper(attribute):
        return {
            "name": attribute, "identityProviderAlias": "AzureAD", "identityProviderMapper": "saml-user-attribute-idp-mapper",
            "config": {"syncMode": "FORCE", "attribute.name": attribute, "user.attribute": attribute},
        }

    return realm(
        name,
        users=[user(person, None) for person in people if person.realm == name],
        clients=[client(gateway) for gateway in gateways],
        identityProviders=[{
            "alias": "AzureAD", "displayName": "Corp SAML", "providerId": "saml", "enabled": True, "trustEmail": True,
            "storeToken": False, "updateProfileFirstLoginMode": "off", "firstBrokerLoginFlowAlias": "first broker login",
            "config": {
                "entityId": url, "idpEntityId": provider, "singleSignOnServiceUrl": f"{provider}/protocol/saml",
                "syncMode": "FORCE", "nameIDPolicyFormat": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
                "principalType": "SUBJECT", "postBindingAuthnRequest": "false", "postBindingResponse": "true",
                "validateSignature": "true", "signingCertificate": pem(certificate), "wantAuthnRequestsSigned": "false",
                "wantAssertionsSigned": "true",
            },
        }],
        identityProviderMappers=[mapper(attribute) for attribute in ("email", "firstName", "lastName")],
    )
