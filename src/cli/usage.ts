/** A command line that cannot be carried out; the message says how it should look. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}
