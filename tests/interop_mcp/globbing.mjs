// Lets the conformance suite start under Node 20, which has no `fs.globSync`: the suite imports it by
// name and uses it for none of the scenarios that are run here.
//
// Use:     node --import ./globbing.mjs …

import { register } from 'node:module';

const hook = `
export async function resolve(name, context, next) {
  const asks = context.parentURL?.includes('@modelcontextprotocol/conformance');
  if (name !== 'fs' || !asks) return next(name, context);
  const text = "export * from 'node:fs'; import fs from 'node:fs'; export default fs;" +
    "export const globSync = fs.globSync ?? (() => []);";
  return { url: 'data:text/javascript,' + encodeURIComponent(text), shortCircuit: true };
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
