// An MCP server with OAuth, made of the MCP TypeScript SDK, on 127.0.0.1, for the interop suite.
//
// Use:     node server.mjs NODE_MODULES
// Says:    one line of JSON on standard output when it listens:
//          {"url":"http://127.0.0.1:PORT/mcp","issuer":"http://127.0.0.1:PORT/"}. Nothing else.
// Ends:    when standard input is closed, so that it never outlives who started it.
// Is set:  the SDK's own authorization server (dynamic registration, PKCE S256, revocation), and
//          beside it a provider that asks a person on a page, grants tokens for the one resource
//          `url` alone, and rotates refresh tokens, which are their client's alone. The tool `whoami`
//          names the client, the scopes and the resource of the token it is called with.
// Forgets: POST /test/forget forgets every client, as a server does that keeps them in memory.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const packages = createRequire(join(process.argv[2], '..', 'anchor.js'));
const sdk = (path) => packages(`@modelcontextprotocol/sdk/${path}`);
const express = packages('express');
const { mcpAuthRouter, getOAuthProtectedResourceMetadataUrl } = sdk('server/auth/router.js');
const { requireBearerAuth } = sdk('server/auth/middleware/bearerAuth.js');
const { InvalidGrantError, InvalidTargetError, InvalidTokenError } = sdk('server/auth/errors.js');
const { McpServer } = sdk('server/mcp.js');
const { StreamableHTTPServerTransport } = sdk('server/streamableHttp.js');

const LIFE_S = 600;
const clients = new Map();
const waiting = new Map();
const codes = new Map();
const access = new Map();
const refresh = new Map();

const app = express();
const http = createServer(app);
await new Promise((done) => http.listen(0, '127.0.0.1', done));
const origin = `http://127.0.0.1:${http.address().port}`;
const url = new URL(`${origin}/mcp`);

function grant(clientId, scopes, resource) {
  if (resource?.href !== url.href) throw new InvalidTargetError('these tokens are for the MCP server');
  const [token, next] = [`at-${randomUUID()}`, `rt-${randomUUID()}`];
  access.set(token, { token, clientId, scopes, resource, expiresAt: Date.now() / 1000 + LIFE_S });
  refresh.set(next, { clientId, scopes });
  return {
    access_token: token,
    token_type: 'bearer',
    expires_in: LIFE_S,
    refresh_token: next,
    scope: scopes.join(' '),
  };
}

const provider = {
  clientsStore: {
    getClient: (id) => clients.get(id),
    registerClient: (client) => {
      clients.set(client.client_id, client);
      return client;
    },
  },
  async authorize(client, params, res) {
    const id = randomUUID();
    waiting.set(id, { client, params });
    res.type('html').send(
      `<form method="post" action="${origin}/consent"><input type="hidden" name="id" value="${id}">` +
        `<button>Let ${client.client_name} in</button></form>`,
    );
  },
  async challengeForAuthorizationCode(_client, code) {
    if (!codes.has(code)) throw new InvalidGrantError('no such code');
    return codes.get(code).params.codeChallenge;
  },
  async exchangeAuthorizationCode(client, code, _verifier, redirectUri, resource) {
    const { client: asked, params } = codes.get(code) ?? {};
    codes.delete(code);
    if (asked?.client_id !== client.client_id || params.redirectUri !== redirectUri) {
      throw new InvalidGrantError('a code of somebody else');
    }
    if (params.resource?.href !== url.href) throw new InvalidTargetError('asked for something else');
    return grant(client.client_id, params.scopes ?? [], resource);
  },
  async exchangeRefreshToken(client, token, _scopes, resource) {
    const known = refresh.get(token);
    if (known?.clientId !== client.client_id) throw new InvalidGrantError('no token of this client');
    refresh.delete(token);
    return grant(client.client_id, known.scopes, resource);
  },
  async verifyAccessToken(token) {
    if (!access.has(token)) throw new InvalidTokenError('no such token');
    return access.get(token);
  },
  async revokeToken(_client, { token }) {
    access.delete(token);
    refresh.delete(token);
  },
};

function mcpServer() {
  const server = new McpServer({ name: 'interop', version: '1.0.0' });
  server.registerTool('whoami', { description: 'Whose token it is' }, ({ authInfo }) => ({
    content: [
      {
        type: 'text',
        text: JSON.stringify({
          client: authInfo.clientId,
          scopes: authInfo.scopes,
          resource: authInfo.resource.href,
        }),
      },
    ],
  }));
  return server;
}

app.use(
  mcpAuthRouter({
    provider,
    issuerUrl: new URL(origin),
    resourceServerUrl: url,
    scopesSupported: ['mcp:tools'],
    resourceName: 'interop',
    clientRegistrationOptions: { rateLimit: false },
  }),
);
app.post('/consent', express.urlencoded({ extended: false }), (req, res) => {
  const asked = waiting.get(req.body.id);
  waiting.delete(req.body.id);
  const code = randomUUID();
  codes.set(code, asked);
  const back = new URL(asked.params.redirectUri);
  back.searchParams.set('code', code);
  if (asked.params.state) back.searchParams.set('state', asked.params.state);
  res.redirect(303, back.href);
});
app.post('/test/forget', (_req, res) => {
  clients.clear();
  res.json({ forgotten: true });
});
app.all(
  '/mcp',
  requireBearerAuth({
    verifier: provider,
    requiredScopes: ['mcp:tools'],
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(url),
  }),
  express.json(),
  async (req, res) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    await mcpServer().connect(transport);
    await transport.handleRequest(req, res, req.body);
  },
);

process.stdin.resume().on('end', () => process.exit(0));
console.log(JSON.stringify({ url: url.href, issuer: `${origin}/` }));
