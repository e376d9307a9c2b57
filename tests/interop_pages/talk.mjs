// What a script says to the test that started it and is told by it, and what it asks of Strongroom.

import { createInterface } from 'node:readline';

export const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
export const checked = (what) => say({ checked: what });

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export const told = async () => JSON.parse((await lines.next()).value);

// Calls the API with the key that the script was told.
export const caller = (settings) => async (method, path, body) => {
  const answer = await fetch(`${settings.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${settings.key}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  return answer.json();
};
