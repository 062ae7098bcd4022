// Evidence: what an agent knows about its store, as one archive for whoever looks for a fault.

export interface EvidenceArchive {
  /** A file name, of letters, digits, dots, dashes and underscores. */
  readonly name: string
  /** A tar archive, compressed with gzip. At most EVIDENCE_BYTES_MAX. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

export interface Evidence {
  /** Collects the evidence; `actor` is the name of who asked for it. Throws ProblemError `limit-reached` while another archive is being made. */
  collect(actor: string): Promise<EvidenceArchive>
}
