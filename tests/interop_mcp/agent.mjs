// An agent that knows an MCP server by its URL and has its tokens from Strongroom: what the
// conformance suite runs as the client under test.
//
// Use:     node agent.mjs URL
//          In the environment: STRONGROOM_URL, STRONGROOM_KEY (of an admin), NODE_MODULES; of the
//          suite MCP_CONFORMANCE_SCENARIO and, where the scenario has one, MCP_CONFORMANCE_CONTEXT.
// Ends:    with 0 where it has called the server with a token of the vault, with 3 where the vault
//          refuses to make an app of the server, with anything else where something is wrong.

import { createRequire } from 'node:module';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import http from 'node:http';

const url = process.argv.at(-1);
const { STRONGROOM_URL, STRONGROOM_KEY, NODE_MODULES } = process.env;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const packages = createRequire(join(NODE_MODULES, '..', 'anchor.js'));
const { Client } = packages('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = packages(
  '@modelcontextprotocol/sdk/client/streamableHttp.js',
);
const app = `app-${randomBytes(6).toString('hex')}`;

/** One request; no redirect is followed. */
function send(method, place, headers = {}, body = '') {
  return new Promise((done, fail) => {
    const request = http.request(place, { method, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (more) => (text += more));
      answer.on('end', () => done({ status: answer.statusCode, headers: answer.headers, text }));
    });
    request.on('error', fail).end(body);
  });
}

async function vault(path, body) {
  const headers = { authorization: `Bearer ${STRONGROOM_KEY}`, 'content-type': 'application/json' };
  const answer = await send('POST', STRONGROOM_URL + path, headers, JSON.stringify(body));
  return { status: answer.status, ...JSON.parse(answer.text) };
}

/** A person's browser: keeps cookies, follows redirects, presses the button of the page. */
async function person(link, code) {
  const cookies = new Map();
  const open = async (method, place, fields) => {
    for (let hops = 0; hops < 10; hops++) {
      const { host, origin } = new URL(place);
      const jar = [...cookies].filter(([name]) => name.startsWith(host));
      const headers = { cookie: jar.map(([, pair]) => pair).join('; ') };
      if (method === 'POST') {
        headers.origin = origin;
        headers['content-type'] = 'application/x-www-form-urlencoded';
      }
      const answer = await send(method, place, headers, new URLSearchParams(fields).toString());
      for (const set of answer.headers['set-cookie'] ?? []) {
        const pair = set.split(';')[0];
        cookies.set(`${host} ${pair.split('=')[0]}`, pair);
      }
      if (!answer.headers.location) return { place, text: answer.text };
      [method, place, fields] = ['GET', new URL(answer.headers.location, place).href, {}];
    }
    throw new Error('too many redirects');
  };
  const press = (page, end, fields = {}) => {
    const forms = page.text.split('<form').slice(1).map((form) => form.split('</form>')[0]);
    const action = (form) => form.match(/action="([^"]*)"/)?.[1].replaceAll('&amp;', '&') ?? '';
    const form = forms.find((form) => action(form).endsWith(end));
    if (!form) throw new Error(`no form for ${end} in ${page.text}`);
    const hidden = {};
    for (const [input] of form.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
      hidden[input.match(/name="([^"]*)"/)[1]] = input.match(/value="([^"]*)"/)?.[1] ?? '';
    }
    return open('POST', new URL(action(form), page.place).href, { ...hidden, ...fields });
  };
  let page = await press(await open('GET', link), link.split('/c/')[1]);
  page = await press(page, '/code', { code });
  page = await press(page, `/${app}/go`);
  if (!page.text.includes('Connected')) throw new Error(`not connected: ${page.text}`);
}

/** A token of the vault, by way of a person where that is needed. */
async function token(more = {}) {
  const ask = { app, user: 'ada', ...more };
  let said = await vault('/v1/token', { ...ask, connect: {} });
  if (said.connect) {
    await person(said.connect.url, said.connect.code);
    said = await vault('/v1/token', ask);
  }
  if (said.outcome !== 'ok') throw new Error(`no token: ${JSON.stringify(said)}`);
  return said.access_token;
}

/** Every tool of the server, called; a refusal for want of scopes comes back. */
async function work(accessToken) {
  let challenge;
  const watching = async (place, init) => {
    const answer = await fetch(place, init);
    if (answer.status === 403) challenge = answer.headers.get('www-authenticate');
    return answer;
  };
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { Authorization: `Bearer ${accessToken}` } },
    fetch: watching,
  });
  const client = new Client({ name: 'strongroom-agent', version: '1.0.0' });
  try {
    await client.connect(transport);
    for (const tool of (await client.listTools()).tools) {
      await client.callTool({ name: tool.name, arguments: {} });
    }
    await client.close();
  } catch (error) {
    const scopes = challenge?.match(/scope="([^"]*)"/)?.[1].split(' ');
    if (!scopes) throw error;
    return scopes;
  }
}

// That scenario looks for a URL of its own, as one that was agreed on before.
const isDocument = process.env.MCP_CONFORMANCE_SCENARIO === 'auth/basic-cimd';
const document = isDocument ? 'https://conformance-test.local/client-metadata.json' : undefined;
const { client_id = document, client_secret } = context;
const made = await vault('/v1/apps', { id: app, server_url: url, client_id, client_secret });
if (made.status !== 201) {
  console.error(made.error.code, made.error.message);
  process.exit(3);
}
let asked = new Set();
let wanted = await work(await token());
// A server that asks for more is given it, as often as what it asks for is new.
while (wanted?.some((scope) => !asked.has(scope))) {
  asked = asked.union?.(new Set(wanted)) ?? new Set([...asked, ...wanted]);
  wanted = await work(await token({ scopes: [...asked] }));
}
process.exit(0);
