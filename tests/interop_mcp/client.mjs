// Calls a tool of an MCP server with a token, by the MCP TypeScript SDK's own client.
//
// Use:     node client.mjs NODE_MODULES URL TOOL, with the token as a line on standard input
// Says:    one line of JSON on standard output: what the tool answered.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';

const [, , modules, url, tool] = process.argv;
const packages = createRequire(join(modules, '..', 'anchor.js'));
const { Client } = packages('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = packages(
  '@modelcontextprotocol/sdk/client/streamableHttp.js',
);

const token = await createInterface({ input: process.stdin }).question('');
const transport = new StreamableHTTPClientTransport(new URL(url), {
  requestInit: { headers: { Authorization: `Bearer ${token}` } },
});
const client = new Client({ name: 'strongroom-interop', version: '1.0.0' });
await client.connect(transport);
const answer = await client.callTool({ name: tool, arguments: {} });
console.log(answer.content[0].text);
await client.close();
process.exit(0);
