/** The part of Redoc that the page of descriptions uses. */
export declare function init(
  url: string,
  options: { disableTelemetry?: boolean },
  element: Element,
): unknown;
