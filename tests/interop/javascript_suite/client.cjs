// What the suite imports as the SDK's own files: the published SDK, connected to the server.

const sdk = require("@lmstudio/sdk");

class LMStudioClient extends sdk.LMStudioClient {
  constructor(options) {
    super({ baseUrl: process.env.JAVASCRIPT_SUITE_URL, ...options });
  }
}

/** As in the SDK's package lms-common, which is not published by itself. */
function makePromise() {
  let resolve, reject;
  const promise = new Promise((good, bad) => ([resolve, reject] = [good, bad]));
  return { promise, resolve, reject };
}

module.exports = { ...sdk, LMStudioClient, makePromise };
