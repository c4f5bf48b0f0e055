// LM Studio's own public server classes, asked what they say to messages.
//
// Reads a line for each connection: its namespace and the frames of a client. Writes a line for
// each: what the server sends. The handlers never answer, so these are warnings alone.

import { SimpleLogger } from "@lmstudio/lms-common";
import { ServerTransport } from "@lmstudio/lms-communication";
import { ServerPort } from "@lmstudio/lms-communication-server";
import * as interfaces from "@lmstudio/lms-external-backend-interfaces";
import { createInterface } from "readline";

const unhandled = new Set<string>(JSON.parse(process.argv[2]));
const quiet: any = { info() {}, warn() {}, error() {}, debug() {} };
const never = () => new Promise<any>(() => {});
const make: Record<string, () => any> = {
  llm: interfaces.createLlmBackendInterface,
  embedding: interfaces.createEmbeddingBackendInterface,
  system: interfaces.createSystemBackendInterface,
  files: interfaces.createFilesBackendInterface,
  repository: interfaces.createRepositoryBackendInterface,
};

class Recorder extends ServerTransport {
  public readonly sent: any[] = [];
  public constructor(private readonly received: (message: any) => void) {
    super();
  }
  protected sendViaTransport(message: any) {
    this.sent.push(message);
  }
  public take(frame: string) {
    let message;
    try {
      message = this.parseIncomingMessage(JSON.parse(frame)); // as in WsServerTransport
    } catch {
      return;
    }
    this.received(message);
  }
}

function answers(namespace: string, frames: string[]) {
  const backend = make[namespace]();
  for (const name of backend.rpcEndpoints.keys()) {
    if (!unhandled.has(name)) backend.handleRpcEndpoint(name, never);
  }
  for (const name of backend.channelEndpoints.keys()) {
    if (!unhandled.has(name)) backend.handleChannelEndpoint(name, never);
  }
  let transport!: Recorder;
  const context: any = () => ({ logger: new SimpleLogger("rig", quiet) });
  const factory: any = (received: any) => (transport = new Recorder(received));
  new ServerPort(backend, context, factory, { parentLogger: quiet });
  frames.forEach(frame => transport.take(frame));
  return transport.sent;
}

createInterface({ input: process.stdin }).on("line", line => {
  const { namespace, frames } = JSON.parse(line);
  console.log(JSON.stringify(answers(namespace, frames)));
});
