// Plays members of MLS groups with ts-mls: a request a line, a reply a line, all JSON, bytes in base64.
import { createInterface } from "node:readline";
import * as mls from "ts-mls";

const members = new Map(); // by name: { suite, pack, state }

const b64 = (bytes) => Buffer.from(bytes).toString("base64");
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const encode = (wireformat, field, value) => b64(mls.encodeMlsMessage({ version: "mls10", wireformat, [field]: value }));

function decode(text) {
  const data = bytes(text);
  const decoded = mls.decodeMlsMessage(data, 0);
  if (!decoded || decoded[1] !== data.length) throw new Error("malformed message");
  return decoded[0];
}

const suites = new Map();
async function suiteOf(id) {
  if (!suites.has(id)) {
    const name = Object.keys(mls.ciphersuites).find((n) => mls.ciphersuites[n] === id);
    suites.set(id, await mls.getCiphersuiteImpl(mls.getCiphersuiteFromName(name)));
  }
  return suites.get(id);
}

const methods = {
  async keyPackage({ name, suite }) {
    const cs = await suiteOf(suite);
    const credential = { credentialType: "basic", identity: new TextEncoder().encode(name) };
    const pack = await mls.generateKeyPackage(credential, mls.defaultCapabilities(), mls.defaultLifetime, [], cs);
    members.set(name, { cs, pack, psk: mls.emptyPskIndex });
    return encode("mls_key_package", "keyPackage", pack.publicPackage);
  },
  async create({ name, suite, group }) {
    await methods.keyPackage({ name, suite });
    const m = members.get(name);
    m.state = await mls.createGroup(bytes(group), m.pack.publicPackage, m.pack.privatePackage, [], m.cs);
    return null;
  },
  async join({ name, welcome, tree }) {
    const m = members.get(name);
    const shared = tree ? members.get(tree).state.ratchetTree : undefined;
    m.state = await mls.joinGroup(decode(welcome).welcome, m.pack.publicPackage, m.pack.privatePackage, m.psk, m.cs, shared);
    return null;
  },
  async commit({ name, add, remove, isPublic }) {
    const m = members.get(name);
    const extraProposals = [
      ...(add ?? []).map((k) => ({ proposalType: "add", add: { keyPackage: decode(k).keyPackage } })),
      ...(remove ?? []).map((removed) => ({ proposalType: "remove", remove: { removed } })),
    ];
    const out = await mls.createCommit({ state: m.state, cipherSuite: m.cs, pskIndex: m.psk },
      { extraProposals, ratchetTreeExtension: true, wireAsPublicMessage: isPublic ?? false });
    m.state = out.newState;
    return { commit: b64(mls.encodeMlsMessage(out.commit)), welcome: out.welcome ? encode("mls_welcome", "welcome", out.welcome) : "" };
  },
  async proposeRemove({ name, removed, isPublic }) {
    const m = members.get(name);
    const out = await mls.createProposal(m.state, isPublic ?? false, { proposalType: "remove", remove: { removed } }, m.cs);
    m.state = out.newState;
    return b64(mls.encodeMlsMessage(out.message));
  },
  async encrypt({ name, text }) {
    const m = members.get(name);
    const out = await mls.createApplicationMessage(m.state, bytes(text), m.cs);
    m.state = out.newState;
    return encode("mls_private_message", "privateMessage", out.privateMessage);
  },
  async process({ name, message }) {
    const m = members.get(name);
    const out = await mls.processMessage(decode(message), m.state, m.psk, mls.acceptAll, m.cs);
    m.state = out.newState;
    return out.kind === "applicationMessage" ? b64(out.message) : "";
  },
  async tell({ name }) {
    const { state, cs } = members.get(name);
    const exported = await mls.mlsExporter(state.keySchedule.exporterSecret, "label", new TextEncoder().encode("context"), 32, cs);
    return { authenticator: b64(state.keySchedule.epochAuthenticator), exported: b64(exported), epoch: Number(state.groupContext.epoch) };
  },
  async fork({ name, as }) {
    members.set(as, { ...members.get(name) });
    return null;
  },
  async forget({ name }) {
    members.delete(name);
    return null;
  },
  // Runs a method so many times on the same state, and returns the mean time in nanoseconds.
  async measure({ method, params, times }) {
    const saved = { ...members.get(params.name) };
    const started = process.hrtime.bigint();
    for (let i = 0; i < times; i++) {
      members.set(params.name, { ...saved });
      await methods[method](params);
    }
    const took = process.hrtime.bigint() - started;
    members.set(params.name, saved);
    return Number(took) / times;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { method, params } = JSON.parse(line);
  let reply;
  try {
    reply = { result: await methods[method](params ?? {}) };
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
}
