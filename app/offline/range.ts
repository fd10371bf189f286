/** A part of a kept response, as a server with ranges would have sent it; the whole where the header asks for no plain range. */
export async function sliceRange(whole: Response, range: string | null): Promise<Response> {
  const match = /^bytes=(\d+)-(\d*)$/.exec(range?.trim() ?? '');
  if (!match) return whole;
  const body = await whole.blob();
  const first = Number(match[1]);
  const last = Math.min(match[2] ? Number(match[2]) : body.size - 1, body.size - 1);
  const headers = new Headers(whole.headers);
  if (first > last) {
    headers.set('Content-Range', `bytes */${body.size}`);
    return new Response(null, { status: 416, headers });
  }
  headers.set('Content-Range', `bytes ${first}-${last}/${body.size}`);
  headers.set('Content-Length', String(last - first + 1));
  return new Response(body.slice(first, last + 1), { status: 206, headers });
}
