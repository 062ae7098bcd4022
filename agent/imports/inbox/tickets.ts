// The ticket on a file of the inbox: a durable record, written before the import starts, of which file becomes which image. With it a file is
// imported once, wherever a crash happens.

import { z } from 'zod'
import type { InboxFolder } from '../local/inbox-folder.ts'

const ticketSchema = z.object({
  /** The file's name; each byte is one character. */
  key: z.string().max(4096),
  identity: z.object({ inode: z.string(), length: z.int().min(0), modifiedNs: z.string() }),
  uploadId: z.string(),
  imageId: z.string(),
})

/** The id of a ticket is the id of its image. */
export type Ticket = z.infer<typeof ticketSchema>

/** Writes a ticket, durable when it resolves. */
export function writeTicket(folder: InboxFolder, ticket: Ticket): Promise<void> {
  return folder.writeTicket(ticket.imageId, JSON.stringify(ticket))
}

/** Returns all tickets. `onDamaged` is told of a record that cannot be read; its file has no ticket. */
export async function readTickets(folder: InboxFolder, onDamaged: (id: string) => void): Promise<Ticket[]> {
  const tickets: Ticket[] = []
  for (const [id, text] of await folder.readTickets()) {
    const ticket = parseTicket(text)
    if (ticket?.imageId === id) tickets.push(ticket)
    else onDamaged(id)
  }
  return tickets
}

function parseTicket(text: string): Ticket | undefined {
  try {
    return ticketSchema.safeParse(JSON.parse(text)).data
  } catch {
    // Not JSON.
    return undefined
  }
}
