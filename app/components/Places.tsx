import { PLACES, type Place } from '../hooks/usePlace';

const TITLES: Readonly<Record<Place, string>> = { chat: 'Chat', router: 'Router', models: 'Models' };

/** The page's places as links. */
export function Places({ place }: { readonly place: Place }) {
  return (
    <nav className="nav" aria-label="Places">
      {PLACES.map((each) => (
        <a key={each} href={`#/${each}`} aria-current={each === place ? 'page' : undefined}>
          {TITLES[each]}
        </a>
      ))}
    </nav>
  );
}
