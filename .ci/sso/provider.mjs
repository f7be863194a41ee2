// A second OpenID provider, unrelated to Keycloak: npm's oidc-provider with the pages that it ships.
//
// Those pages take any password; here a request with a wrong one is sent back to the form. Its settings come from the
// file named by the first argument, since they hold secrets; the package is taken from the folder named by the second.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const entry = createRequire(join(process.argv[3], 'package.json')).resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(entry).href);

const provider = new Provider(settings.issuer, {
  clients: settings.clients.map((client) => ({
    client_id: client.id,
    client_secret: client.secret,
    redirect_uris: [client.redirect_uri],
  })),
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username'] },
  // oauth2-proxy takes the address from the ID token.
  conformIdTokenClaims: false,
  cookies: { keys: [settings.cookie_key] },
  jwks: { keys: [settings.key] },
  pkce: { required: () => true },
  async findAccount(ctx, id) {
    const person = settings.people[id];
    return person && {
      accountId: id,
      claims: () => ({ sub: id, email: person.email, email_verified: true, preferred_username: id }),
    };
  },
  async loadExistingGrant(ctx) {
    const { client, session, result, provider: { Grant } } = ctx.oidc;
    const known = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
    if (known) return Grant.find(known);
    if (settings.asks_consent.includes(client.clientId)) return undefined;
    const grant = new Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
});

provider.use(async (ctx, next) => {
  if (ctx.method === 'POST' && ctx.path.startsWith('/interaction/')) {
    const chunks = [];
    for await (const chunk of ctx.req) chunks.push(chunk);
    const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString('utf8')));
    if (form.prompt === 'login' && settings.people[form.login]?.password !== form.password) {
      console.log(`refused ${form.login}`);
      ctx.redirect(ctx.path);
      return;
    }
    if (form.prompt === 'login') console.log(`accepted ${form.login}`);
    ctx.req.body = form;
  }
  await next();
});

provider.on('server_error', (ctx, error) => console.error(error));
provider.listen(settings.port, settings.host);
