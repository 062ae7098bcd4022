// What a client of an agent can do: every route of its HTTP interface as a function.

import type { z } from 'zod'
import type { CreatedToken, Link, NewToken, newLinkSchema, Token } from '../access.ts'
import type { Severity, StoreEvent } from '../event.ts'
import type { ConversionTarget, Export, ExportPlan, NewExport } from '../images/export.ts'
import type { FollowOptions, StreamedItem } from './event-stream.ts'
import type { Answer } from './exchange.ts'
import type { FileEntry } from '../file.ts'
import type { AnswerFrame, SliceFrame } from '../slices/frames.ts'
import type { Right } from '../images/grant.ts'
import type { Health } from '../health.ts'
import type { Image, ImagePatch } from '../images/image.ts'
import type { ImageFilter, ImageOrder } from '../images/image-list.ts'
import type { ImportPlan, ImportRequest } from '../images/imports.ts'
import type { HostKey } from '../images/host-key.ts'
import type { MediaGroup, MediaGroupPatch, NewMediaGroup } from '../images/media-group.ts'
import type { Page } from '../page.ts'
import type { ReconcileRequest } from '../reconcile.ts'
import type { Schedule, ScheduleName, SchedulePatch } from '../schedule.ts'
import type { Store, StoreIdentity, StorePatch } from '../store.ts'
import type { CreatedSyncGrant, NewSyncGrant } from '../sync/sync-grant.ts'
import type { SyncRequest } from '../sync/sync.ts'
import type { Task } from '../task.ts'
import type { Usage, UsageQuery } from '../images/usage.ts'
import type { Upload, UploadState } from '../upload.ts'
import type { UploadLink } from '../upload-link.ts'
import type { UploadClient } from './upload-client.ts'

// Type aliases, since an interface is not assignable to a record of query members.
export type CallOptions = { readonly signal?: AbortSignal | undefined }
export type PageOptions = CallOptions & { readonly limit?: number | undefined; readonly cursor?: string | undefined }

/** Conditions and range of a request for content, as header values of RFC 9110. */
export interface ContentOptions extends CallOptions {
  readonly method?: 'GET' | 'HEAD'
  readonly range?: string
  readonly ifRange?: string
  readonly ifMatch?: string
  readonly ifNoneMatch?: string
}

/** `image` is the id of the image of the slices; `lengthMax` the most bytes of one of them. */
export type SliceOptions = CallOptions & { readonly image?: string | undefined; readonly lengthMax?: number }

/** What is imported, without the choice between a plan and the import. */
export type ImportOrder = Omit<ImportRequest, 'dryRun'>

/** Options whose members may be undefined, such as those parsed from a command line. */
type Loose<T> = { readonly [Key in keyof T]?: T[Key] | undefined }

/**
 * Every function throws ProblemError: the agent's problem, or `peer-unreachable` when the answer does not come from an agent. When the signal aborts,
 * throws its reason.
 */
export interface AgentClient {
  readonly baseUrl: string
  /** Returns the health. Does not throw when its state is `error`, which is answered with 503. */
  health(options?: CallOptions): Promise<Health>
  /** Returns the archive of what the agent knows of its store. Throws `peer-unreachable` when it is longer than EVIDENCE_BYTES_MAX. */
  evidence(options?: CallOptions): Promise<Uint8Array<ArrayBuffer>>
  readonly store: {
    get(options?: CallOptions): Promise<Store>
    /** Returns what identifies the store. Also reads the answer of a newer agent, whose other members may differ. */
    identify(options?: CallOptions): Promise<StoreIdentity>
    patch(patch: StorePatch, options?: CallOptions): Promise<Store>
    enable(options?: CallOptions): Promise<Store>
    disable(reason?: string, options?: CallOptions): Promise<Store>
    reconnect(options?: CallOptions): Promise<Store>
    cleanup(dryRun?: boolean, options?: CallOptions): Promise<Task>
    /** Starts a comparison of the catalogue with the mount path. Its result is a ReconcileResult. */
    reconcile(request?: ReconcileRequest, options?: CallOptions): Promise<Task>
  }
  readonly images: {
    list(filter?: Loose<ImageFilter> & { readonly sort?: ImageOrder | undefined } & PageOptions): Promise<Page<Image>>
    /** Returns the images of all pages. */
    all(filter?: Loose<ImageFilter> & { readonly sort?: ImageOrder | undefined } & CallOptions): AsyncGenerator<Image>
    /** Returns an image by its id, or by its name when exactly one image has it. */
    get(idOrName: string, options?: CallOptions): Promise<Image>
    patch(id: string, patch: Loose<ImagePatch>, options?: CallOptions): Promise<Image>
    /** Returns the image in the recycle bin; undefined when it was deleted for good, as with `permanent`. */
    delete(id: string, options?: CallOptions & { readonly permanent?: boolean }): Promise<Image | undefined>
    restore(id: string, options?: CallOptions): Promise<Image>
    /** Starts an import from an address or a path. */
    import(request: ImportOrder, options?: CallOptions): Promise<Task>
    /** Returns what an import would do, and changes nothing. */
    planImport(request: ImportOrder, options?: CallOptions): Promise<ImportPlan>
    /** Returns the stored bytes that deleting all of these images would free; null in a store too large to count. */
    uniqueSize(idsOrNames: readonly string[], options?: CallOptions): Promise<number | null>
    bind(id: string, instance: string, options?: CallOptions): Promise<Image>
    unbind(id: string, instance: string, options?: CallOptions): Promise<Image>
    /** `subject` is `user:NAME` or `group:NAME`; `set` are its rights, read and use by default. */
    grant(id: string, subject: string, options?: CallOptions & { readonly set?: readonly Right[] | undefined }): Promise<Image>
    revoke(id: string, subject: string, options?: CallOptions): Promise<Image>
    /**
     * Returns the bytes of a manifest: first its header, then as many bytes as the header announces. Verifies the header, but neither the digest nor
     * the entries, of which there are up to MANIFEST_ENTRIES_MAX. Throws `peer-unreachable` when the bytes are not a manifest.
     */
    manifest(id: string, options?: CallOptions): AsyncGenerator<Uint8Array<ArrayBuffer>>
    /** Returns answers with status 200, 206 or 304. Throws for others. With `as`, the content is converted. */
    content(id: string, options?: ContentOptions & { readonly as?: ConversionTarget | undefined }): Promise<Answer>
    /** Starts to write the image as a file into exports/. */
    export(id: string, order?: Loose<Omit<NewExport, 'dryRun'>>, options?: CallOptions): Promise<Task>
    /** Returns what an export would do, and changes nothing. */
    planExport(id: string, order?: Loose<Omit<NewExport, 'dryRun'>>, options?: CallOptions): Promise<ExportPlan>
  }
  readonly mediaGroups: {
    list(options?: PageOptions): Promise<Page<MediaGroup>>
    /** Returns the groups of all pages. */
    all(options?: CallOptions): AsyncGenerator<MediaGroup>
    create(group: Loose<NewMediaGroup> & Pick<NewMediaGroup, 'name'>, options?: CallOptions): Promise<MediaGroup>
    /** Changes a group; also one that only images name. */
    patch(name: string, patch: Loose<MediaGroupPatch>, options?: CallOptions): Promise<MediaGroup>
    /** Deletes a group without images. */
    delete(name: string, options?: CallOptions): Promise<void>
  }
  readonly hostKeys: {
    list(options?: PageOptions): Promise<Page<HostKey>>
    /** Returns the pinned keys of all pages. */
    all(options?: CallOptions): AsyncGenerator<HostKey>
    /** Forgets the pinned key of `host:port`. */
    forget(host: string, options?: CallOptions): Promise<void>
  }
  readonly exports: {
    /** Lists exports, of one image with `image`. */
    list(options?: PageOptions & { readonly image?: string | undefined }): Promise<Page<Export>>
    /** Returns the exports of all pages. */
    all(options?: CallOptions & { readonly image?: string | undefined }): AsyncGenerator<Export>
    get(id: string, options?: CallOptions): Promise<Export>
    delete(id: string, options?: CallOptions): Promise<void>
    content(id: string, options?: ContentOptions): Promise<Answer>
  }
  readonly files: {
    list(path?: string, options?: PageOptions): Promise<Page<FileEntry>>
    content(path: string, options?: ContentOptions): Promise<Answer>
  }
  readonly tasks: {
    list(options?: PageOptions & { readonly state?: string | undefined; readonly kind?: string | undefined }): Promise<Page<Task>>
    get(id: string, options?: CallOptions): Promise<Task>
    cancel(id: string, options?: CallOptions): Promise<Task>
    /** Pauses a sync until it is resumed. */
    pause(id: string, options?: CallOptions): Promise<Task>
    resume(id: string, options?: CallOptions): Promise<Task>
    retry(id: string, options?: CallOptions): Promise<Task>
  }
  readonly schedules: {
    list(options?: PageOptions): Promise<Page<Schedule>>
    patch(name: ScheduleName, patch: Loose<SchedulePatch>, options?: CallOptions): Promise<Schedule>
    run(name: ScheduleName, options?: CallOptions): Promise<Task>
  }
  readonly events: {
    /** Lists events, newest first; with `since`, those after that id, oldest first. */
    list(
      options?: PageOptions & { readonly since?: string | undefined; readonly type?: string | undefined; readonly severity?: Severity | undefined },
    ): Promise<Page<StoreEvent>>
    /** Follows the events and the state of the store: see `followEvents`. */
    follow(options?: FollowOptions): AsyncGenerator<StreamedItem>
  }
  readonly tokens: {
    list(options?: PageOptions): Promise<Page<Token>>
    create(token: NewToken, options?: CallOptions): Promise<CreatedToken>
    /** Gives a token a new secret; the previous one becomes invalid at once. */
    rotate(id: string, options?: CallOptions): Promise<CreatedToken>
    delete(id: string, options?: CallOptions): Promise<void>
  }
  readonly syncGrants: {
    /** Creates a grant with which another store copies these images; only this answer shows its token. */
    create(grant: NewSyncGrant, options?: CallOptions): Promise<CreatedSyncGrant>
  }
  readonly links: {
    create(link: z.input<typeof newLinkSchema>, options?: CallOptions): Promise<Link>
    /** Returns upload links, oldest first: for operators all, for others those of the token. */
    list(options?: PageOptions): Promise<Page<UploadLink>>
    get(id: string, options?: CallOptions): Promise<UploadLink>
    /** Revokes an upload link and cancels its upload. */
    revoke(id: string, options?: CallOptions): Promise<void>
  }
  readonly slices: {
    /** Returns the digests that the agent does not have. */
    missing(digests: readonly string[], options?: CallOptions): Promise<string[]>
    /**
     * Returns the slices in the order of the digests. Does not verify them. `image` is the id of their image, if it is known: the agent can then decide
     * whether it may send them even while it is indexing its images. The stream throws FrameInvalid, also for a slice longer than `lengthMax`, or
     * ProblemError.
     */
    fetch(digests: readonly string[], options?: SliceOptions): AsyncGenerator<SliceFrame>
    /** Returns those slices that the agent has, and the digests of the others, in the order of the digests. Only for an agent that speaks version 2. */
    fetchPresent(digests: readonly string[], options?: SliceOptions): AsyncGenerator<AnswerFrame>
  }
  readonly uploads: UploadClient & {
    /** Returns uploads in progress, newest first: for operators all, for others those of the token. */
    list(options?: PageOptions & { readonly state?: UploadState | undefined }): Promise<Page<Upload>>
    /** Deletes an upload and its bytes. */
    cancel(id: string, options?: CallOptions): Promise<void>
  }
  /** Returns the sums of a range and one page of its rows. */
  usage(query?: Loose<Pick<UsageQuery, 'from' | 'to' | 'owner'>> & PageOptions): Promise<Usage>
  sync(request: SyncRequest, options?: CallOptions): Promise<Task>
}
