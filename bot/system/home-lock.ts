// The lock of a home folder: one service runs on it. Two would post each message twice and judge each store twice. Consoles and single commands need no lock.
//
// The lock is that of SQLite on an empty file beside the database, held for as long as the service runs. The kernel releases it with the process, however
// that ends.

import { Database } from 'bun:sqlite'
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode, errorText } from '../../protocol/errors.ts'
import { HomeUnusable } from './database.ts'

/** In the folder of the database. */
const LOCK_FILE = 'service.lock'
/** How long to wait for a service that is ending, in milliseconds. */
const WAIT_MS = 1000

/** Locks a home folder for the service until disposed. Throws HomeUnusable with the next step when another service has it. */
export function lockHome(home: string): Disposable {
  const path = join(home, 'bot', LOCK_FILE)
  let database: Database | undefined
  try {
    createFile(path)
    database = new Database(path, { strict: true })
    database.run(`PRAGMA busy_timeout = ${WAIT_MS}`)
    database.run('BEGIN EXCLUSIVE')
  } catch (error) {
    database?.close()
    if (errorCode(error) !== 'SQLITE_BUSY')
      throw new HomeUnusable(`${path} cannot be locked: ${errorText(error)}. Check its owner and SLIPWAY_HOME.`, { cause: error })
    const pid = holderOf(path)
    const who = pid === undefined ? 'Another service' : `Another service (process ${pid})`
    throw new HomeUnusable(
      `${who} runs on the home folder ${home}. Stop it first (systemctl stop slipway-bot), or set SLIPWAY_HOME to another folder. Commands and the console work beside it.`,
    )
  }
  const held = database
  return { [Symbol.dispose]: () => held.close() }
}

/** Creates the file unless it exists. It is never opened a second time: closing any descriptor of it would release the lock of this process (fcntl(2)). */
function createFile(path: string): void {
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
}

/** The process that locks a file, as the kernel lists it (proc_locks(5)); undefined when it does not say, as on a network file system. */
function holderOf(path: string): number | undefined {
  try {
    const { ino } = statSync(path)
    const line = readFileSync('/proc/locks', 'utf8')
      .split('\n')
      .find((text) => / WRITE \d+ /.test(text) && text.includes(`:${ino} `))
    return line === undefined ? undefined : Number(/ WRITE (\d+) /.exec(line)?.[1])
  } catch {
    // Without /proc the sentence is still right.
    return undefined
  }
}
