// Loads complete manifests into memory. Manifests in tests are small.

import type { Catalogue } from '../../../agent/images/catalogue.ts'
import type { AgentClient } from '../../../protocol/client/agent-client.ts'
import { decodeManifest } from '../../../protocol/slices/manifest.ts'
import type { Manifest, MemoryManifest } from '../../../protocol/slices/manifest.ts'

/** Loads a manifest into memory. */
export async function wholeManifest(manifest: Pick<Manifest, 'pieces'>): Promise<MemoryManifest> {
  return (await decodeManifest(await gathered(manifest.pieces()))).manifest
}

/** Loads the manifest of an image in a catalogue. */
export async function manifestOf(catalogue: Pick<Catalogue, 'open'>, id: string): Promise<MemoryManifest> {
  using content = await catalogue.open(id)
  return wholeManifest(content.manifest)
}

/** Fetches the manifest of an image from an agent. */
export async function fetchManifest(client: AgentClient, id: string): Promise<MemoryManifest> {
  return (await decodeManifest(await gathered(client.images.manifest(id)))).manifest
}

async function gathered(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(Buffer.concat(await Array.fromAsync(pieces)))
}
