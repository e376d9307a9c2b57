// Starts npm `oidc-provider` (certified, not ours) on 127.0.0.1, for the interop suite.
//
// Use:     node oidc-provider.mjs '{"client_id":"…","client_secret":"…","redirect_uris":["…"]}'
//          Further keys: `access_token_ttl_s` (5), `refresh_token_ttl_s` (86400), `node_modules`
//          (where the packages lie, unless beside this file).
// Says:    one line of JSON on standard output when it listens:
//          {"issuer":"http://127.0.0.1:PORT","port":PORT}. Nothing else, but what goes wrong.
// Ends:    when standard input is closed, so that it never outlives who started it.
// Is set:  PKCE S256 required; refresh tokens rotate at each use, and one that is used twice takes
//          the whole grant with it (`invalid_grant`); revocation and introspection; `iss` in the
//          authorization answer (RFC 9207); client authentication by `client_secret_basic`, id and
//          secret form-encoded first; scopes `openid` and `offline_access`, the latter only with
//          `prompt=consent`. Everything lives in memory.
//
// A client without a browser goes through its login and consent pages so. It follows no redirect
// by itself, resolves `Location` against the URL it asked for (step 1 and 3 answer a path), keeps
// cookies, and posts forms as `application/x-www-form-urlencoded`:
//
//   1. GET  /auth?client_id&redirect_uri&response_type=code&scope=openid+offline_access
//           &prompt=consent&state&code_challenge&code_challenge_method=S256
//      303, Location: /interaction/UID. Sets `_interaction` (Path=/interaction/UID) and
//      `_interaction_resume` (Path=/auth/UID), each with its `.sig`.
//   2. GET  /interaction/UID     200, a page with one <form method="post">, whose action is
//                                http://127.0.0.1:PORT/interaction/UID
//      POST (action)             prompt=login&login=ANY&password=ANY
//      303, Location: http://127.0.0.1:PORT/auth/UID. `login` becomes the subject (`sub`).
//   3. GET  /auth/UID            303, Location: /interaction/UID2. Ends `_interaction_resume`, sets
//                                `_session` (Path=/) and a new `_interaction`, `_interaction_resume`
//   4. GET  /interaction/UID2    200, the consent page, again with one form
//      POST (action)             prompt=consent
//      303, Location: http://127.0.0.1:PORT/auth/UID2
//   5. GET  /auth/UID2           303, Location: REDIRECT_URI?code&state&iss
//   6. POST /token               grant_type=authorization_code&code&redirect_uri&code_verifier
//
// The cookies of each step have the same names and differ in `Path`. A jar without paths does if it
// replaces by name, in the order of the `Set-Cookie` lines: each step needs only the newest. With a
// `_session` of the same person, step 2 is left out: step 1 leads to the consent page at once.
// A person who refuses follows the link `/interaction/UID/abort` on either page (303 to /auth/UID,
// and from there to REDIRECT_URI?error=access_denied&error_description&state&iss).
//
// Other endpoints: /me (userinfo), /token/revocation, /token/introspection, /jwks, and both
// /.well-known/openid-configuration and /.well-known/oauth-authorization-server.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// The package warns of an untested Node and of its development pages. Standard output is ours.
console.info = () => {};
console.warn = () => {};

const settings = JSON.parse(process.argv[2] ?? '{}');
for (const name of ['client_id', 'client_secret', 'redirect_uris']) {
  if (!settings[name]) throw new Error(`the settings lack ${name}`);
}

const base = settings.node_modules
  ? pathToFileURL(join(settings.node_modules, '..', 'anchor.js'))
  : import.meta.url;
const { Provider } = await import(
  pathToFileURL(createRequire(base).resolve('oidc-provider')).href
);

const configuration = {
  clients: [
    {
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: settings.redirect_uris,
      // With `native`, plain http is allowed for loopback addresses (RFC 8252 7.3).
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  cookies: { keys: ['in memory, for one run'] },
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
  },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  issueRefreshToken: (_ctx, client, code) =>
    client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: settings.access_token_ttl_s ?? 5,
    AuthorizationCode: 60,
    Grant: 86_400,
    IdToken: 3_600,
    Interaction: 600,
    RefreshToken: settings.refresh_token_ttl_s ?? 86_400,
    Session: 86_400,
  },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, configuration);
  provider.on('server_error', (_ctx, error) => console.error(error));
  server.on('request', provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer, port })}\n`);
});

const end = () => process.exit(0);
process.stdin.on('end', end).on('error', end).resume();
