// Compiles the contracts with solc's JavaScript build and writes artifacts/<Name>.json.
//   node build.mjs           writes the artefacts
//   node build.mjs --check   compiles in memory and compares with the committed ones; exit 1 on any difference
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const CONTRACTS = ["DCMXToken", "MusicNFT", "RoyaltyDistributor", "RewardVault", "ComplianceRegistry", "ListeningVerifierV1"];
const EIP170_LIMIT = 24_576; // bytes of code that a contract may have (EIP-170)

const TARGETS = [
  { names: CONTRACTS, sources: CONTRACTS.map((name) => `${name}.sol`), output: "artifacts" },
  { names: ["Attacker", "EmbezzlingDistributor", "HookReceiver", "ReentrantToken"], sources: ["test/Hostile.sol"], output: "test/artifacts" },
];

const SETTINGS = {
  evmVersion: "paris", // no PUSH0, no MCOPY: see README
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" }, // code depends on the code alone, not on comments or paths
  outputSelection: {
    "*": {
      "": ["ast"], // names the immutables
      "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"],
    },
  },
};

function requireCompiler() {
  const require = createRequire(import.meta.url);
  const wanted = JSON.parse(readFileSync(join(HERE, "package.json"), "utf8")).devDependencies;
  for (const [name, version] of Object.entries(wanted)) {
    const file = join(HERE, "node_modules", name, "package.json");
    const found = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).version : "none";
    if (found !== version) {
      throw new Error(`${name}: expected version ${version}, found ${found}; run: npm install`);
    }
  }
  return require("solc");
}

function readImport(path) {
  const file = join(HERE, path.startsWith("@") ? "node_modules" : "", path);
  return existsSync(file) ? { contents: readFileSync(file, "utf8") } : { error: `no such file: ${path}` };
}

// The names of a compilation's immutable variables, by the compiler's id of their declaration.
function immutableNames(node, names = {}) {
  if (node?.nodeType === "VariableDeclaration" && node.mutability === "immutable") names[node.id] = node.name;
  for (const child of Object.values(node ?? {})) if (typeof child === "object") immutableNames(child, names);
  return names;
}

// Where a contract's code holds its immutables, which only the constructor knows: name -> offsets of 32 bytes each.
function immutables(references, names) {
  const places = Object.entries(references).map(([id, found]) => [names[id], found.map(({ start }) => start)]);
  return Object.fromEntries(places.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function compile(solc, { names, sources, output }) {
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(sources.map((path) => [path, { content: readFileSync(join(HERE, path), "utf8") }])),
    settings: SETTINGS,
  };
  const result = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }));
  const ours = ({ severity, sourceLocation }) => severity === "error" || !sourceLocation?.file.startsWith("@");
  const messages = (result.errors ?? []).filter(ours); // our own warnings stop the build too
  if (messages.length > 0) throw new Error(messages.map((message) => message.formattedMessage).join("\n"));
  const named = immutableNames(Object.values(result.sources).map(({ ast }) => ast));
  return names.map((name) => {
    const source = sources.find((path) => result.contracts[path]?.[name]);
    const contract = result.contracts[source][name];
    const code = contract.evm.deployedBytecode.object;
    if (code.length / 2 > EIP170_LIMIT) {
      throw new Error(`${name}: ${code.length / 2} bytes of code, more than EIP-170's ${EIP170_LIMIT}`);
    }
    const artifact = {
      contractName: name,
      compiler: { name: "solc", version: solc.version(), evmVersion: SETTINGS.evmVersion, optimizer: SETTINGS.optimizer },
      abi: contract.abi,
      bytecode: `0x${contract.evm.bytecode.object}`,
      deployedBytecode: `0x${code}`,
      immutables: immutables(contract.evm.deployedBytecode.immutableReferences, named),
    };
    return { name, path: join(output, `${name}.json`), artifact, bytes: code.length / 2 };
  });
}

function signature(entry) {
  const inputs = (entry.inputs ?? []).map((input) => `${input.type}${input.indexed ? " indexed" : ""} ${input.name}`);
  const outputs = (entry.outputs ?? []).map((output) => output.type);
  return `${entry.type} ${entry.name ?? ""}(${inputs.join(", ")}) ${entry.stateMutability ?? ""} -> (${outputs.join(", ")})`;
}

function differences({ path, artifact }) {
  const file = join(HERE, path);
  if (!existsSync(file)) return [`${path}: missing`];
  const text = readFileSync(file, "utf8");
  if (text === render(artifact)) return [];
  let committed;
  try {
    committed = JSON.parse(text);
  } catch (error) {
    return [`${path}: not JSON: ${error.message}`];
  }
  const lines = [];
  const before = new Set((committed.abi ?? []).map(signature));
  const after = new Set(artifact.abi.map(signature));
  for (const line of before) if (!after.has(line)) lines.push(`${path}: committed only: ${line}`);
  for (const line of after) if (!before.has(line)) lines.push(`${path}: built only:     ${line}`);
  for (const key of Object.keys(artifact).filter((key) => key !== "abi")) {
    const [old, now] = [committed[key], artifact[key]].map((value) => JSON.stringify(value) ?? "nothing");
    if (old === now) continue;
    const at = [...now].findIndex((character, index) => character !== old[index]);
    const shorten = (value) => (value.length > 120 ? `${value.length} characters, …${value.slice(at, at + 24)}…` : value);
    lines.push(`${path}: ${key}: committed ${shorten(old)}, built ${shorten(now)} (differ from character ${at})`);
  }
  return lines.length > 0 ? lines : [`${path}: same content, other formatting`];
}

const render = (artifact) => `${JSON.stringify(artifact, null, 2)}\n`;

function strays({ names, output }) {
  const folder = join(HERE, output);
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return files.filter((file) => !names.includes(file.replace(/\.json$/, ""))).map((file) => join(output, file));
}

const check = process.argv.includes("--check");
const solc = requireCompiler();
const built = TARGETS.flatMap((target) => compile(solc, target));
const extra = TARGETS.flatMap(strays);

if (check) {
  const problems = [...built.flatMap(differences), ...extra.map((path) => `${path}: no such contract`)];
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) console.error("The artefacts are not what the sources compile to; run: node build.mjs");
  else console.log(`${built.length} artefacts match their sources`);
  process.exitCode = problems.length > 0 ? 1 : 0;
} else {
  for (const path of extra) rmSync(join(HERE, path));
  for (const { name, path, artifact, bytes } of built) {
    mkdirSync(dirname(join(HERE, path)), { recursive: true });
    writeFileSync(join(HERE, path), render(artifact));
    console.log(`${name.padEnd(20)} ${String(bytes).padStart(6)} bytes`);
  }
}
