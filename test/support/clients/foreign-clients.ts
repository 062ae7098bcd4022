// tus clients in other languages, each installed by its own package manager into the test cache at its first use. A client is a command
// that uploads FILE to ENDPOINT with TOKEN, stops in the middle, resumes, and prints the URL of the upload.

import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { testCacheFolder } from '../images/image-family.ts'

/** A client that can be run, or the reason why it cannot. */
export type ForeignClient =
  | { readonly kind: 'ready'; command(endpoint: string, token: string, file: string): { line: string[]; env?: Record<string, string> } }
  | { readonly kind: 'missing'; readonly reason: string }

/** Longest time that a package manager may take, in milliseconds. */
const INSTALL_MS_MAX = 180_000

const TUSPY_VERSION = '1.1.0'
const TUSPY_PROGRAM = `
import sys
from tusclient import client
endpoint, token, file = sys.argv[1:]
c = client.TusClient(endpoint, headers={'Authorization': 'Bearer ' + token})
options = dict(chunk_size=1048576, metadata={'filename': 'image.raw'}, upload_checksum=True)
first = c.uploader(file, **options)
for _ in range(3):
    first.upload_chunk()
second = c.uploader(file, url=first.url, **options)
second.upload()
print(second.url)
`

/** tuspy (PyPI), with a SHA-1 on every request. */
export async function tuspy(): Promise<ForeignClient> {
  const python = Bun.which('python3')
  if (python === null) return missing('python3 is not installed (Debian package python3)')
  const folder = join(testCacheFolder(), `tuspy-${TUSPY_VERSION}`)
  const refusal = await once(folder, [python, '-m', 'pip', 'install', '--quiet', '--target', folder, `tuspy==${TUSPY_VERSION}`])
  if (refusal !== undefined) return missing(`tuspy: ${refusal}`)
  return { kind: 'ready', command: (...args) => ({ line: [python, '-c', TUSPY_PROGRAM, ...args], env: { PYTHONPATH: folder } }) }
}

const GO_TUS_VERSION = 'v0.0.0-20220610120217-05d0564bb571'
const GO_TUS_PROGRAM = `package main

import (
	"fmt"
	"net/http"
	"os"

	tus "github.com/eventials/go-tus"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	file, err := os.Open(os.Args[3])
	must(err)
	header := http.Header{"Authorization": []string{"Bearer " + os.Args[2]}}
	client, err := tus.NewClient(os.Args[1], &tus.Config{ChunkSize: 1 << 20, Header: header})
	must(err)
	upload, err := tus.NewUploadFromFile(file)
	must(err)
	first, err := client.CreateUpload(upload)
	must(err)
	for i := 0; i < 3; i++ {
		must(first.UploadChunck())
	}
	second := tus.NewUploader(client, first.Url(), upload, first.Offset())
	must(second.Upload())
	fmt.Println(second.Url())
}
`

/** go-tus (a Go module). */
export async function goTus(): Promise<ForeignClient> {
  const go = Bun.which('go')
  if (go === null) return missing('Go is not installed (Debian package golang-go)')
  const folder = join(testCacheFolder(), `go-tus-${GO_TUS_VERSION}`)
  const program = join(folder, 'client')
  mkdirSync(folder, { recursive: true })
  await Bun.write(join(folder, 'go.mod'), `module client\n\ngo 1.18\n\nrequire github.com/eventials/go-tus ${GO_TUS_VERSION}\n`)
  await Bun.write(join(folder, 'main.go'), GO_TUS_PROGRAM)
  const refusal = await once(program, [go, 'build', '-mod=mod', '-o', program, '.'], folder)
  if (refusal !== undefined) return missing(`go-tus: ${refusal}`)
  return { kind: 'ready', command: (...args) => ({ line: [program, ...args] }) }
}

const TUS_JAVA_VERSION = '0.5.1'
const TUS_JAVA_PROGRAM = `
import io.tus.java.client.*;
import java.io.File;
import java.net.URL;
import java.util.Map;

public class Client {
  public static void main(String[] args) throws Exception {
    TusClient client = new TusClient();
    client.setUploadCreationURL(new URL(args[0]));
    client.setHeaders(Map.of("Authorization", "Bearer " + args[1]));
    client.enableResuming(new TusURLMemoryStore());
    TusUpload upload = new TusUpload(new File(args[2]));
    TusUploader first = client.resumeOrCreateUpload(upload);
    first.setChunkSize(1 << 20);
    for (int i = 0; i < 3; i++) first.uploadChunk();
    first.finish();
    TusUpload again = new TusUpload(new File(args[2]));
    TusUploader second = client.resumeUpload(again);
    second.setChunkSize(1 << 20);
    second.setRequestPayloadSize(4 << 20);
    while (second.uploadChunk() > -1);
    second.finish();
    System.out.println(second.getUploadURL());
  }
}
`

/** tus-java-client (Maven), which sends POST instead of PATCH. */
export async function tusJava(): Promise<ForeignClient> {
  const [java, mvn, javac] = [Bun.which('java'), Bun.which('mvn'), Bun.which('javac')]
  if (java === null || mvn === null || javac === null) return missing('Java or Maven is not installed (Debian packages default-jdk-headless and maven)')
  const folder = join(testCacheFolder(), `tus-java-client-${TUS_JAVA_VERSION}`)
  const jar = join(folder, `tus-java-client-${TUS_JAVA_VERSION}.jar`)
  const artifact = `-Dartifact=io.tus.java.client:tus-java-client:${TUS_JAVA_VERSION}`
  const refusal = await once(jar, [mvn, '-q', '-B', 'dependency:copy', artifact, `-DoutputDirectory=${folder}`])
  if (refusal !== undefined) return missing(`tus-java-client: ${refusal}`)
  const source = join(folder, 'Client.java')
  await Bun.write(source, TUS_JAVA_PROGRAM)
  return { kind: 'ready', command: (...args) => ({ line: [java, '-cp', jar, source, ...args] }) }
}

/** Runs a command unless its result exists; returns the reason when it failed. */
async function once(made: string, line: readonly string[], cwd = '/'): Promise<string | undefined> {
  if (existsSync(made)) return undefined
  const child = Bun.spawn([...line], { cwd, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', timeout: INSTALL_MS_MAX })
  const output = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  if ((await child.exited) === 0 && existsSync(made)) return undefined
  return `cannot be installed (${output.join('').trim().split('\n').at(-1)})`
}

function missing(reason: string): ForeignClient {
  return { kind: 'missing', reason }
}
