// What commands of tokens, grants, roles, host keys, the audit log and help show.

import type { Terms } from './term.ts'

export const TOKEN_TERMS: Terms = {
  Role: { means: 'What the token may do: viewer, uploader, operator or admin; each includes those before it.' },
  User: { means: 'The user for whom the token acts.' },
  Groups: { means: 'The groups of that user.' },
  Secret: { means: 'The secret of the token. It is shown once and stored hashed.', action: 'Copy it now. If it is lost: token rotate T.' },
  Expires: { means: 'When the token becomes invalid; never, if it says so.', unit: 'time in UTC', action: 'token rotate T gives a new secret.' },
}

export const GRANT_TERMS: Terms = {
  Source: { means: 'The store that may be read.' },
  Target: { means: 'The store that may read, by its name or UUID.' },
  Images: { means: 'Which images it may read.' },
}

export const ROLE_TERMS: Terms = {
  Who: { means: 'A Slack user or a user group.' },
  Role: { means: 'What they may do: viewer, uploader, operator or admin; each includes those before it.' },
  Roles: { means: 'The roles that the person has now.' },
  Where: { means: 'Where the role counts: the whole fleet, a zone, a store, or one Slack channel.' },
  Since: { means: 'When the role was granted.', unit: 'time in UTC' },
  'Granted by': { means: 'Who granted the role.' },
  'In Slack': { means: 'What to write in Slack to claim the code.' },
}

export const WEB_TERMS: Terms = {
  Open: { means: 'The address of the page with a secret that works once. Open it in a browser and press the button.' },
  Person: { means: 'Who entered the page: a person of Slack, or the user of the console.' },
  Used: { means: 'When the last page was opened in this session, to the minute.', unit: 'time in UTC' },
  Ends: { means: 'When the session ends if it is not used again.', unit: 'time in UTC' },
  Began: { means: 'When the link of this session was used.', unit: 'time in UTC' },
  Browser: { means: 'How the browser calls itself.', action: 'If you do not know it, run web revoke with the id.' },
}

export const APPROVAL_TERMS: Terms = {
  Request: { means: 'The number of the request.', action: 'approval show A shows its plan.' },
  State: {
    means: 'Waiting for approval, approved and running, done, failed, not run because the plan has changed, interrupted, denied, cancelled or expired.',
    action: 'After Interrupted, the request says what was deleted and what is still there.',
  },
  What: { means: 'What would be deleted.' },
  'Asked by': { means: 'Who asked. It runs in their name, and somebody else must approve it.' },
  Until: { means: 'Until when it can be approved and must have started.', unit: 'time in UTC' },
  'Decided by': { means: 'Who approved, denied or cancelled it.' },
}

export const HOST_KEY_TERMS: Terms = {
  Host: { means: 'Host and port of the server of imports by sftp.' },
  Expected: { means: 'Fingerprint of the key that the store expects.' },
  'Offered first': { means: 'When the server first offered another key.', unit: 'time in UTC' },
  'Offered instead': {
    means: 'Fingerprint of another key that the server offered. Somebody may listen in, or the server was installed again.',
    normal: 'Absent.',
    action: 'Compare it with the key on the server itself; only then run host-key forget HOST.',
  },
  Pinned: { means: 'When the store first saw the key and kept it.', unit: 'time in UTC' },
}

export const AUDIT_TERMS: Terms = {
  Actor: { means: 'Who did it: a Slack user, the user of the console, or the service.' },
  Command: { means: 'The command, without secrets.' },
  Outcome: { means: 'done, refused, failed, begun, asked (for a name) or unclear.', normal: 'done' },
  From: { means: 'Where it was asked: console, Slack with its channel, or the service.' },
  Detail: { means: 'What the answer said.' },
  Head: {
    means: 'Number and hash of the newest entry. audit verify head=… later proves that nothing before it was changed.',
    action: 'Keep a copy outside the node of the bot.',
  },
  'Last entry': { means: 'Number and time of the newest entry in the file.' },
}

export const HELP_TERMS: Terms = {
  Command: { means: 'How the command is written; words in brackets may be left out.' },
  'What it does': { means: 'The command in one sentence.' },
  Usage: { means: 'How the command is written; words in brackets may be left out.' },
  Role: { means: 'The lowest role that may run it.' },
  Example: { means: 'A line that works as it is, with names of your own.' },
  Check: { means: 'The name of a health check of an agent.' },
  Means: { means: 'What the column, field or check is.' },
  Unit: { means: 'In what it is measured.' },
  Normal: { means: 'What it shows when nothing is wrong.' },
  'What to do': { means: 'What to do when it is not normal.' },
}
