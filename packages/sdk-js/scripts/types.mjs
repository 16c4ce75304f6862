// Writes src/event-types.ts from the JSON Schemas that the services check by. `node scripts/types.mjs [--check]`.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Where the tools are installed outside of this folder: MODULES is their node_modules.
const modules = process.env.MODULES ?? new URL("../node_modules", import.meta.url).pathname;
const from = createRequire(`${modules}/index.js`);
const { compile } = await import(pathToFileURL(from.resolve("json-schema-to-typescript")).href);

const folder = new URL("../../domain-model/schemas/", import.meta.url);
const target = new URL("../src/event-types.ts", import.meta.url);
const read = (name) => JSON.parse(readFileSync(new URL(name, folder), "utf8"));

const envelope = read("envelope.schema.json");
const files = readdirSync(folder).filter((name) => name !== "envelope.schema.json").sort();
const nameOf = (type) => type.replace(/(^|[._])([a-z])/g, (_, __, letter) => letter.toUpperCase());

let text = `// Written by scripts/types.mjs from packages/domain-model/schemas; do not edit.\n\n`;
const names = [];
for (const file of files) {
  const schema = read(file);
  const type = schema.properties.type.const;
  names.push([type, nameOf(type)]);
  // A type's schema refines the envelope: what it says of a member stands beside the envelope's words.
  const properties = { ...envelope.properties };
  for (const [member, refined] of Object.entries(schema.properties)) {
    properties[member] = { ...envelope.properties[member], ...refined };
    if (member === "data") properties.data.additionalProperties = true;
  }
  const whole = { ...envelope, title: nameOf(type), description: schema.description, properties };
  delete whole.$schema;
  const made = await compile(JSON.parse(JSON.stringify(whole)), nameOf(type), {
    bannerComment: "", declareExternallyReferenced: false, style: { printWidth: 120 },
  });
  // Slugs are strings; the one definition that is referenced is said in its place.
  text += made.replace(/\bSlug1?\b/g, "string").trim() + "\n\n";
}
text += `/** An event as it is sent: which type says what is in \`data\`. */\nexport type Event =\n${names.map(([, name]) => `  | ${name}`).join("\n")};\n\n`;
text += `/** Each type of event by its name. */\nexport interface EventByType {\n${names.map(([type, name]) => `  "${type}": ${name};`).join("\n")}\n}\n`;

if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== text) {
    console.error("src/event-types.ts is old: npm run types");
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}
