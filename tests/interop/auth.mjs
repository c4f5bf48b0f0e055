// Coming in: as a guest, and with the identity that an API token stands for.

import { baseUrl, errorOf, LMStudioClient, show } from "./shared.mjs";

const token = process.argv[3];

// A guest is refused, which this client also tells its logger.
const silent = () => {};
const logger = { debug: silent, info: silent, warn: silent, error: silent };
const guest = new LMStudioClient({ baseUrl, logger });
const { message } = await errorOf(guest.llm.listLoaded());
if (message.includes("Failed to authenticate")) show("guest", "refused");

// Later versions take the token apart themselves; this one has no option for it.
const [clientIdentifier, clientPasskey] = token.replace("sk-lm-", "").split(":");
const client = new LMStudioClient({ baseUrl, clientIdentifier, clientPasskey });
const identifiers = models => models.map(model => model.identifier);
show("llms", identifiers(await client.llm.listLoaded()));
show("embedding models", identifiers(await client.embedding.listLoaded()));
show("reply", (await (await client.llm.model()).respond("Hi.")).content);
