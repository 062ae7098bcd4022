// Checks an index database beside its use.

/** What SQLite says is wrong with the database at this path, or undefined; runs on a thread of its own. */
export async function checkIndexApart(path: string): Promise<string | undefined> {
  const worker = new Worker(new URL('./index-check-worker.ts', import.meta.url).href)
  try {
    return await new Promise((resolve, reject) => {
      worker.addEventListener('message', (event: MessageEvent<string | null>) => resolve(event.data ?? undefined))
      worker.addEventListener('error', (event) => reject(new Error(`the index database could not be checked: ${event.message}`)))
      worker.postMessage(path)
    })
  } finally {
    worker.terminate()
  }
}
