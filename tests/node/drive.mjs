// Does with the client what it is told, a JSON object a line, and prints what comes of it; it ends
// by itself once nothing more is said and the client is closed: node drive.mjs OPTIONS
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { ChatClient } from "../../service/static/chat-client.js";

const { tokens, ...options } = JSON.parse(process.argv[2]);
// The last is given again and again, each time a little longer where it ends in a dot; an empty one
// never comes.
let asked = 0;
if (tokens) {
  options.token = () => {
    const token = tokens.length > 1 ? tokens.shift() : tokens[0];
    asked += 1;
    if (token === "") return new Promise(() => {});
    return token.endsWith(".") ? `${token}${asked}` : token;
  };
}
const client = new ChatClient({ WebSocket, ...options });
const runs = new Map();
const planned = [];

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

client.addEventListener("connection", ({ detail }) => print({ kind: "connection", ...detail }));

const deeds = {
  start: ({ run, request, key }) => follow(run, client.start(request, { idempotencyKey: key })),
  regenerate: ({ run, conversation, message, body }) =>
    follow(run, client.regenerate(conversation, message, body)),
  resume: ({ run, id, ...cursor }) => follow(run, client.resume(id, cursor)),
  at: ({ run, seq, then }) => planned.push({ run, seq, then }),
  cancel: ({ run }) => runs.get(run).cancel(),
  leave: ({ run }) => runs.get(run).leave(),
  cut: () => client.cut(),
  reconnect: () => client.reconnect(),
  online: () => globalThis.dispatchEvent?.(new Event("online")),
  transport: ({ transport }) => {
    client.transport = transport;
  },
  token: ({ token }) => {
    client.token = token;
  },
  clock: ({ seconds }) => {
    const { now } = Date;
    Date.now = () => now() + seconds * 1000;
  },
  moveOnChange: ({ run, to }) => {
    const move = () => {
      if (runs.get(run).id === null) return;
      client.transport = to;
      runs.get(run).removeEventListener("change", move);
    };
    runs.get(run).addEventListener("change", move);
  },
  leaveAtEnd: ({ run, other }) =>
    runs.get(run).addEventListener("end", () => runs.get(other).leave()),
  startUnsayable: () => {
    try {
      client.start({ model: "m", user_prompt: "Hello", hyperparameters: { seed: 5n } });
    } catch (error) {
      print({ kind: "thrown", name: error.name });
    }
  },
  iterate: ({ run }) => iterate(run),
  call: ({ name, args = [] }) => call(name, args),
};

function follow(name, run) {
  runs.set(name, run);
  run.addEventListener("event", ({ detail }) => {
    print({ kind: "event", run: name, event: detail });
    for (const one of planned) {
      if (one.run === name && one.seq === detail.seq) deeds[one.then.do](one.then);
    }
  });
  run.addEventListener("end", () => print({ kind: "end", run: name, ...stateOf(run) }));
}

function stateOf(run) {
  const { id, idempotencyKey, lastSeq, content, reasoning, status, failure, finished } = run;
  const { conversationId, messageId } = run;
  const state = { id, idempotencyKey, lastSeq, content, reasoning, status, finished };
  return { ...state, conversationId, messageId, failure: failure && problemOf(failure) };
}

function problemOf({ name, slug, status, title, detail, errors, retryAfter, requestId }) {
  return { name, slug, status, title, detail, errors, retryAfter, requestId };
}

async function iterate(name) {
  const seqs = [];
  try {
    for await (const event of runs.get(name)) seqs.push(event.seq);
    print({ kind: "iterated", run: name, seqs, thrown: null });
  } catch (problem) {
    print({ kind: "iterated", run: name, seqs, thrown: problemOf(problem) });
  }
}

async function call(name, args) {
  try {
    const answer = await client[name](...args);
    if (answer?.blob) answer.text = await answer.blob.text();
    print({ kind: "answer", answer: answer ?? null });
  } catch (problem) {
    print({ kind: "answer", problem: problemOf(problem) });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  deeds[told.do](told);
}
client.close();
