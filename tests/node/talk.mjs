// Starts runs on one socket, loses it after so many events, resumes them all on another one, and
// prints what it has heard: node talk.mjs URL RUNS EVENTS
import WebSocket from "ws";

const [url, count, events] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const SUBPROTOCOL = "ai-library.v1";
const runs = new Map();
for (let number = 0; number < count; number += 1) {
  runs.set(`r${number}`, { text: "", seq: -1, run_id: null, end: null });
}

function take(message) {
  const run = runs.get(message.id);
  if (message.seq !== run.seq + 1)
    throw new Error(`${message.id}: ${run.seq}, then ${message.seq}`);
  run.seq = message.seq;
  run.run_id ??= message.run_id;
  run.text += message.content ?? "";
  if (message.finished) run.end = message;
}

// Talks until all have ended, or so many events are there; every run has begun by then.
function talk(first, until) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, SUBPROTOCOL);
    let heard = 0;
    socket.on("error", reject);
    socket.on("message", (data, isBinary) => {
      const message = JSON.parse(data);
      if (isBinary || message.type === "error") return reject(new Error(String(data)));
      if (message.type === "welcome") return first(socket);
      if (message.seq === undefined) return undefined;
      take(message);
      heard += 1;
      const all = [...runs.values()];
      if (all.every((run) => run.end)) {
        socket.on("close", (code) => resolve({ protocol: socket.protocol, code }));
        return socket.close(1000);
      }
      if (heard >= until && all.every((run) => run.run_id)) {
        socket.removeAllListeners("message");
        socket.terminate();
        return resolve({ protocol: socket.protocol, code: null });
      }
      return undefined;
    });
  });
}

const say = (socket, message) => socket.send(JSON.stringify(message));

let last = await talk((socket) => {
  for (const id of runs.keys()) {
    const request = { model: "openai/gpt-oss-20b", user_prompt: "Hello" };
    say(socket, { type: "chat", id, request });
  }
}, events);
if (last.code === null) {
  last = await talk((socket) => {
    for (const [id, run] of runs) {
      if (!run.end) say(socket, { type: "resume", id, run_id: run.run_id, after: run.seq });
    }
  }, Infinity);
}
console.log(JSON.stringify({ ...last, runs: Object.fromEntries(runs) }));
