// Ids of live tasks. They are made from the id of what the task works on, so that a task keeps its id without being stored.

import type { TaskKind } from '../../protocol/task.ts'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** How far the last character of the id is moved in the alphabet, so that the tasks of one image differ. */
const SHIFT: Readonly<Partial<Record<TaskKind, number>>> = { upload: 0, inspect: 1, digest: 2 }

/** Returns the id of a live task for the id of an upload or an image. */
export function liveTaskId(kind: TaskKind, subject: string): string {
  return `tsk_${shifted(subject.slice(4), SHIFT[kind] ?? 0)}`
}

/** Returns the id of the upload or image of a live task. Says nothing about whether the task exists. */
export function liveSubject(kind: TaskKind, prefix: 'upl' | 'img', taskId: string): string {
  return `${prefix}_${shifted(taskId.slice(4), ALPHABET.length - (SHIFT[kind] ?? 0))}`
}

function shifted(text: string, by: number): string {
  return text.slice(0, -1) + ALPHABET.charAt((ALPHABET.indexOf(text.slice(-1)) + by) % ALPHABET.length)
}
