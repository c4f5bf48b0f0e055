// The app itself, of which only this client asks: its version, notices, flags, its end.

import { baseUrl, LMStudioClient, show } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });

show("version", await client.system.getLMStudioVersion());
await client.system.notify({ title: "Hello", description: "from a test" });
await client.system.unstable_setExperimentFlag("flag", true);
show("flags", await client.system.unstable_getExperimentFlags());
await client.system.unstable_setExperimentFlag("flag", false);
show("flags", await client.system.unstable_getExperimentFlags());

const silent = () => {}; // it would log the loss of the connection to stderr
const logger = { debug: silent, info: silent, warn: silent, error: silent };
const watcher = new LMStudioClient({ baseUrl, logger });
await watcher.system.whenDisconnected();
show("disconnected", true);
