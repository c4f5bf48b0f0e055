// Documents, which only this client can send: parsing them, and finding what they say.

import { baseUrl, LMStudioClient, show } from "./shared.mjs";

const client = new LMStudioClient({ baseUrl });
const base64 = text => Buffer.from(text).toString("base64");
const upload = (name, text) => client.files.prepareFileBase64(name, base64(text));

const notes = await upload("notes.txt", "The lighthouse is green.");
const more = await upload("more.md", "# Sea\n\nThe sea was calm.");
show("files", [notes.name, notes.type, notes.sizeBytes], [more.name, more.type, more.sizeBytes]);
show("path", (await notes.getFilePath()).endsWith(notes.identifier));
show("library", await client.files.getDocumentParsingLibrary(notes));

const progress = [];
const parsers = [];
const { content } = await client.files.parseDocument(notes, {
  onParserLoaded: parser => parsers.push(parser.library),
  onProgress: value => progress.push(value),
});
show("parsed", content, parsers, progress);

const embeddingModel = await client.embedding.model("test-embedding", { verbose: false });
const steps = [];
const { entries } = await client.files.retrieve("green lighthouse", [notes, more], {
  embeddingModel,
  limit: 1,
  onFileProcessList: files => steps.push(files.length),
  onFileProcessingEnd: file => steps.push(file.name),
  onSearchingEnd: () => steps.push("searched"),
});
show("steps", steps);
show("found", entries.map(entry => [entry.content, entry.source.name]));
