CREATE TABLE jobs (
  id TEXT PRIMARY KEY, key TEXT UNIQUE, name TEXT NOT NULL, spec_hash TEXT NOT NULL,
  phase TEXT NOT NULL, submitted_at TEXT NOT NULL
) STRICT;
CREATE TABLE tasks (
  job TEXT NOT NULL, idx INTEGER NOT NULL, key TEXT NOT NULL, item TEXT NOT NULL,
  phase TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0,
  completion INTEGER, document TEXT, outputs TEXT,
  PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tasks_by_index ON tasks (job, idx);
CREATE INDEX tasks_by_completion ON tasks (job, completion) WHERE completion IS NOT NULL;
INSERT INTO jobs VALUES ('old', NULL, 'old', 'x', 'completed', '2026-01-01T00:00:00.000Z');
INSERT INTO jobs VALUES ('cut', NULL, 'cut', 'y', 'running', '2026-01-01T00:00:00.000Z');
INSERT INTO tasks VALUES ('old', 0, 'a', '"a"', 'completed', 1, 1,
  '{"job":"old","key":"a","index":0,"ok":true,"phase":"completed","stdoutTail":"","stderrTail":""}', NULL);
