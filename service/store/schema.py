"""What does the database of conversations look like?"""

from service.core.spending import By

MIGRATIONS = (
    """
    CREATE TABLE conversations (
        number INTEGER PRIMARY KEY,
        conversation_id TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        active_message_id TEXT NOT NULL
    );
    CREATE INDEX conversations_latest_first
        ON conversations (updated_at DESC, conversation_id DESC);

    -- The long texts stand last: what comes before them is read without them.
    CREATE TABLE messages (
        number INTEGER PRIMARY KEY,  -- messages of a conversation in the order of their beginning
        conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
        message_id TEXT NOT NULL UNIQUE,
        parent_message_id TEXT,
        created_at TEXT NOT NULL,
        model TEXT,  -- null in a question, as is everything that only an answer has
        status TEXT,
        finish_reason TEXT,
        usage TEXT,  -- JSON
        hyperparameters TEXT,  -- JSON
        system_prompt TEXT,
        reasoning TEXT,
        content TEXT NOT NULL
    );
    CREATE INDEX messages_by_conversation ON messages (conversation);
    CREATE INDEX messages_streaming ON messages (status) WHERE status = 'streaming';

    -- The words of service.core.search, each once. They are kept beside the texts since SQLite
    -- before 3.43 cannot remove from an index whose words it does not hold. To the tokenizer
    -- "ascii" every other character is a letter, so it finds the same words again.
    CREATE VIRTUAL TABLE title_words
        USING fts5 (words, tokenize = 'ascii', detail = none, columnsize = 0);
    CREATE VIRTUAL TABLE message_words
        USING fts5 (words, tokenize = 'ascii', detail = none, columnsize = 0);

    CREATE TRIGGER title_given AFTER INSERT ON conversations BEGIN
        INSERT INTO title_words (rowid, words) VALUES (new.number, search_words(new.title));
    END;
    CREATE TRIGGER title_changed AFTER UPDATE OF title ON conversations
    WHEN new.title <> old.title BEGIN
        UPDATE title_words SET words = search_words(new.title) WHERE rowid = new.number;
    END;
    CREATE TRIGGER title_gone AFTER DELETE ON conversations BEGIN
        DELETE FROM title_words WHERE rowid = old.number;
    END;

    -- An answer is indexed when it has ended.
    CREATE TRIGGER message_begun AFTER INSERT ON messages
    WHEN new.status IS NOT 'streaming' BEGIN
        INSERT INTO message_words (rowid, words) VALUES (new.number, search_words(new.content));
    END;
    CREATE TRIGGER answer_ended AFTER UPDATE OF status ON messages
    WHEN new.status <> 'streaming' BEGIN
        INSERT OR REPLACE INTO message_words (rowid, words)
        VALUES (new.number, search_words(new.content));
    END;
    CREATE TRIGGER message_gone AFTER DELETE ON messages BEGIN
        DELETE FROM message_words WHERE rowid = old.number;
    END;
    """,
    """
    -- '' owns what was kept before there were owners, and all where nobody says who they are.
    ALTER TABLE conversations ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    DROP INDEX conversations_latest_first;
    CREATE INDEX conversations_latest_first
        ON conversations (owner, updated_at DESC, conversation_id DESC);
    """,
    """
    ALTER TABLE messages ADD COLUMN milliseconds INTEGER;
    ALTER TABLE messages ADD COLUMN nanodollars INTEGER;

    -- What answers cost, which stays when they are removed; in the order in which sums are made.
    CREATE TABLE expenses (
        message_id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        created_at TEXT NOT NULL,
        model TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        total_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        milliseconds INTEGER,
        nanodollars INTEGER,
        PRIMARY KEY (owner, created_at, message_id)
    ) WITHOUT ROWID;
    INSERT INTO expenses
    SELECT
        message_id, owner, messages.created_at, model,
        coalesce(json_extract(usage, '$.prompt_tokens'), 0),
        coalesce(json_extract(usage, '$.completion_tokens'), 0),
        coalesce(json_extract(usage, '$.total_tokens'), 0),
        coalesce(json_extract(usage, '$.reasoning_tokens'), 0),
        coalesce(json_extract(usage, '$.cached_tokens'), 0),
        NULL, NULL
    FROM messages JOIN conversations ON conversations.number = conversation
    WHERE model IS NOT NULL;
    """,
)
"""What brings a database from version n to n + 1; what was released is never edited."""

COMMANDS = """
    -- Views that take rows and keep none: one INSERT, of as many rows as there are, does all or
    -- nothing. They live as long as a connection, so they change with the code.

    CREATE TEMP VIEW beginning (
        owner, conversation_id, title, message_id, parent_message_id, content, created_at,
        model, status, reasoning, finish_reason, usage, system_prompt, hyperparameters,
        milliseconds, nanodollars
    ) AS VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    CREATE TEMP TRIGGER begin_message INSTEAD OF INSERT ON beginning BEGIN
        INSERT INTO conversations
            (owner, conversation_id, title, created_at, updated_at, active_message_id)
        SELECT
            new.owner, new.conversation_id, new.title, new.created_at, new.created_at,
            new.message_id
        WHERE new.title IS NOT NULL
        ON CONFLICT (conversation_id) DO NOTHING;
        SELECT raise(ABORT, 'gone')
        WHERE NOT EXISTS (
            SELECT 1 FROM conversations
            WHERE conversation_id = new.conversation_id AND owner = new.owner
        );
        INSERT INTO messages (
            conversation, message_id, parent_message_id, content, created_at,
            model, status, reasoning, finish_reason, usage, system_prompt, hyperparameters,
            milliseconds, nanodollars
        ) SELECT
            number, new.message_id, new.parent_message_id, new.content, new.created_at, new.model,
            new.status, new.reasoning, new.finish_reason, new.usage, new.system_prompt,
            new.hyperparameters, new.milliseconds, new.nanodollars
        FROM conversations WHERE conversation_id = new.conversation_id;
        UPDATE conversations
        SET updated_at = new.created_at, active_message_id = new.message_id
        WHERE conversation_id = new.conversation_id AND new.model IS NOT NULL;
    END;

    CREATE TEMP VIEW whole (
        owner, conversation_id, title, begun_at, updated_at, active_message_id, position,
        message_id, parent_message_id, content, created_at,
        model, status, reasoning, finish_reason, usage, system_prompt, hyperparameters,
        milliseconds, nanodollars
    ) AS VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    CREATE TEMP TRIGGER write_message INSTEAD OF INSERT ON whole BEGIN
        DELETE FROM conversations
        WHERE new.position = 0 AND conversation_id = new.conversation_id;
        INSERT INTO conversations
            (owner, conversation_id, title, created_at, updated_at, active_message_id)
        SELECT
            new.owner, new.conversation_id, new.title, new.begun_at, new.updated_at,
            new.active_message_id
        WHERE new.position = 0;
        INSERT INTO messages (
            conversation, message_id, parent_message_id, content, created_at,
            model, status, reasoning, finish_reason, usage, system_prompt, hyperparameters,
            milliseconds, nanodollars
        ) SELECT
            number, new.message_id, new.parent_message_id, new.content, new.created_at, new.model,
            new.status, new.reasoning, new.finish_reason, new.usage, new.system_prompt,
            new.hyperparameters, new.milliseconds, new.nanodollars
        FROM conversations WHERE conversation_id = new.conversation_id;
    END;

    CREATE TEMP VIEW gain (message_id, content, reasoning, whole) AS VALUES (0, 0, 0, 0);
    CREATE TEMP TRIGGER grow_answer INSTEAD OF INSERT ON gain BEGIN
        UPDATE messages
        SET content = iif(new.whole, '', content) || new.content,
            reasoning = nullif(iif(new.whole, '', coalesce(reasoning, '')) || new.reasoning, '')
        WHERE message_id = new.message_id AND status = 'streaming';
    END;

    CREATE TEMP VIEW ending (
        updated_at, message_id, parent_message_id, content, created_at,
        model, status, reasoning, finish_reason, usage, system_prompt, hyperparameters,
        milliseconds, nanodollars
    ) AS VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    CREATE TEMP TRIGGER end_answer INSTEAD OF INSERT ON ending BEGIN
        UPDATE messages
        SET parent_message_id = new.parent_message_id, content = new.content,
            created_at = new.created_at, model = new.model, status = new.status,
            reasoning = new.reasoning, finish_reason = new.finish_reason, usage = new.usage,
            system_prompt = new.system_prompt, hyperparameters = new.hyperparameters,
            milliseconds = new.milliseconds, nanodollars = new.nanodollars
        WHERE message_id = new.message_id;
        UPDATE conversations
        SET updated_at = max(updated_at, new.updated_at)
        WHERE number = (SELECT conversation FROM messages WHERE message_id = new.message_id);
        INSERT INTO expense
        SELECT
            message_id, owner, new.created_at, new.model, new.usage, new.milliseconds,
            new.nanodollars
        FROM expenses WHERE message_id = new.message_id;
    END;

    CREATE TEMP VIEW expense (
        message_id, owner, created_at, model, usage, milliseconds, nanodollars
    ) AS VALUES (0, 0, 0, 0, 0, 0, 0);
    CREATE TEMP TRIGGER count_expense INSTEAD OF INSERT ON expense BEGIN
        INSERT OR REPLACE INTO expenses VALUES (
            new.message_id, new.owner, new.created_at, new.model,
            coalesce(json_extract(new.usage, '$.prompt_tokens'), 0),
            coalesce(json_extract(new.usage, '$.completion_tokens'), 0),
            coalesce(json_extract(new.usage, '$.total_tokens'), 0),
            coalesce(json_extract(new.usage, '$.reasoning_tokens'), 0),
            coalesce(json_extract(new.usage, '$.cached_tokens'), 0),
            new.milliseconds, new.nanodollars
        );
    END;
    CREATE TEMP TRIGGER count_answer AFTER INSERT ON messages WHEN new.model IS NOT NULL BEGIN
        INSERT INTO expense
        SELECT
            new.message_id, owner, new.created_at, new.model, new.usage, new.milliseconds,
            new.nanodollars
        FROM conversations WHERE number = new.conversation;
    END;
"""
"""What the writing connection is given when it opens."""

SETTLE = "UPDATE messages SET status = 'partial' WHERE status = 'streaming'"
"""A crash left the answers that were still growing."""

_SUMS = """
    AS key, count(*),
    sum(prompt_tokens), sum(completion_tokens), sum(total_tokens),
    sum(reasoning_tokens), sum(cached_tokens),
    coalesce(sum(milliseconds), 0), coalesce(sum(nanodollars), 0), count(*) - count(nanodollars)
    FROM expenses WHERE owner = ? AND created_at >= ? AND created_at < ?
    GROUP BY key ORDER BY key
"""
SUMS = {
    By.DAY: "SELECT substr(created_at, 1, 10)" + _SUMS,
    By.MODEL: "SELECT model" + _SUMS,
}
"""What an owner's answers of a period cost."""
