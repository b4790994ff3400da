// Runs the functions of @serenity-kit/opaque by name: a request a line, a reply a line, all JSON.
import { createInterface } from "node:readline";
import * as opaque from "@serenity-kit/opaque";

await opaque.ready;

for await (const line of createInterface({ input: process.stdin })) {
  const { method, params } = JSON.parse(line);
  const [side, name] = method.split(".");
  let reply;
  try {
    const result = opaque[side][name](params ?? undefined);
    reply = { result: result === undefined ? null : result };
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
}
