// The script and the style of upload pages: Uppy and ours in one file each. The compiled program carries them; from source they are bundled when they are first
// asked for. Their addresses have a hash of the content, so browsers keep them for ever.

import { join } from 'node:path'

/** Entry points of the bundle. */
export const ASSET_ENTRIES = [join(import.meta.dir, 'browser/upload-page.mjs'), join(import.meta.dir, 'browser/upload-page.css')]
/** Ending of the names under which the compiled program carries the files, so that it does not take them for its own code. */
export const EMBEDDED_SUFFIX = '.asset'

export interface Asset {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly type: string
}

export interface UploadAssets {
  readonly scriptPath: string
  readonly stylePath: string
  /** By path. */
  readonly files: ReadonlyMap<string, Asset>
}

/** Path below which the files are. */
export const ASSETS_PATH = '/assets/upload'

/** Returns a function that loads the files once; after a failure the next call tries again. */
export function createUploadAssets(bundle: () => Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> = loadAssets): () => Promise<UploadAssets> {
  let loading: Promise<UploadAssets> | undefined
  return () =>
    (loading ??= bundle()
      .then(nameAssets)
      .catch((error: unknown) => {
        loading = undefined
        throw error
      }))
}

function nameAssets(bundled: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): UploadAssets {
  const files = new Map<string, Asset>()
  const add = (name: string, ending: string, type: string): string => {
    const bytes = bundled.get(`${name}.${ending}`)
    if (!bytes) throw new Error(`the bundle of upload pages has no ${name}.${ending}`)
    const path = `${ASSETS_PATH}-${new Bun.CryptoHasher('sha256').update(bytes).digest('hex').slice(0, 16)}.${ending}`
    files.set(path, { bytes, type })
    return path
  }
  const scriptPath = add('upload-page', 'js', 'text/javascript; charset=utf-8')
  const stylePath = add('upload-page', 'css', 'text/css; charset=utf-8')
  return { scriptPath, stylePath, files }
}

/** Returns the bundled files by name: those in the compiled program, else made now. */
async function loadAssets(): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> {
  const embedded = Bun.embeddedFiles.filter((file) => embeddedName(file) !== undefined)
  if (embedded.length === 0) return bundleAssets()
  return new Map(await Promise.all(embedded.map(async (file) => [embeddedName(file) ?? '', await file.bytes()] as const)))
}

function embeddedName(file: Blob & { readonly name?: string }): string | undefined {
  return /(?:^|\/)(upload-page\.(?:js|css))\.asset$/.exec(file.name ?? '')?.[1]
}

/** Bundles the files. */
export async function bundleAssets(): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> {
  const built = await Bun.build({ entrypoints: ASSET_ENTRIES, target: 'browser', format: 'esm', minify: true, naming: '[name].[ext]' })
  return new Map(
    await Promise.all(built.outputs.map(async (output) => [output.path.replace(/^.*\//, ''), new Uint8Array(await output.arrayBuffer())] as const)),
  )
}
