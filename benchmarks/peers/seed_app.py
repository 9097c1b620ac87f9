"""How does a typical FastAPI service write the same API? groq SDK, pydantic, StreamingResponse.

uvicorn seed_app:app        (GROQ_BASE_URL and GROQ_API_KEY from the environment)
"""

import json
import uuid
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from groq import AsyncGroq
from pydantic import BaseModel, Field

app = FastAPI()
client = AsyncGroq()
conversations: dict[str, list[dict[str, str]]] = {}


class Hyperparameters(BaseModel):
    temperature: float = Field(1.0, ge=0, le=2)
    max_tokens: int = Field(1024, ge=1, le=131072)
    top_p: float = Field(1.0, ge=0, le=1)


class ChatRequest(BaseModel):
    model: str
    user_prompt: str = Field(min_length=1)
    system_prompt: str | None = None
    conversation_id: str | None = None
    save_conversation: bool = True
    hyperparameters: Hyperparameters = Field(default_factory=Hyperparameters)


async def answer(request: ChatRequest) -> AsyncIterator[dict]:
    conversation_id = request.conversation_id or str(uuid.uuid4())
    history = conversations.get(conversation_id, [])
    messages = (
        [{"role": "system", "content": request.system_prompt}] if request.system_prompt else []
    )
    messages += [*history, {"role": "user", "content": request.user_prompt}]
    yield {"conversation_id": conversation_id}
    stream = await client.chat.completions.create(
        model=request.model, messages=messages, stream=True, **request.hyperparameters.model_dump()
    )
    whole = ""
    async for chunk in stream:
        content = chunk.choices[0].delta.content
        if content:
            whole += content
            yield {"content": content, "finished": False}
    if request.save_conversation:
        conversations[conversation_id] = [
            *history,
            {"role": "user", "content": request.user_prompt},
            {"role": "assistant", "content": whole},
        ]
    yield {"content": "", "finished": True}


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/chat/stream")
async def chat_stream(request: ChatRequest) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        async for event in answer(request):
            yield f"data: {json.dumps(event)}\n\n"

    return StreamingResponse(
        events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
    )


@app.websocket("/ws/chat")
async def chat_socket(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            request = ChatRequest.model_validate(await socket.receive_json())
            async for event in answer(request):
                await socket.send_json(event)
    except WebSocketDisconnect:
        pass
