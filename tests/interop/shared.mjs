// What the programs of the official JavaScript client share: the client, and one way of output.

import { createRequire } from "node:module";

// Imports do not look where NODE_PATH says, but require does.
const require = createRequire(import.meta.url);
export const { Chat, LMStudioClient, tool } = require("@lmstudio/sdk");
export const { z } = require("zod");

export const host = process.argv[2];
export const baseUrl = `ws://${host}`;

/** Print a line that the Python programs print exactly so: a label, and values as JSON. */
export function show(label, ...values) {
  console.log(`${label}:`, ...values.map(value => JSON.stringify(value)));
}

/** The error with which a promise is rejected. */
export async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected an error, but there was none");
}

/** What the server called the error. Where the client does not keep that, it is in a box. */
export function titleOf(error) {
  if (error.title !== undefined) return error.title;
  return error.message.replace(/┌ Error|[─-╿]/g, " ").split(/\(.\) [A-Z]/)[0].trim();
}
