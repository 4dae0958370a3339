/** Lines below a source that is opened up: the name over its arrays, or why it could not be read. */

import { toggle } from "./live";
import { arraysWord } from "./model";
import { type DetailProps, placed } from "./parts";

export function ArraysHeading(props: DetailProps) {
  const { source } = props;
  return (
    <div className="line heading" role="row" aria-rowindex={props.number} style={placed(props)}>
      <span role="gridcell">
        <strong>{source.name}</strong> <span className="quiet">{arraysWord(source)}</span>
        <button type="button" tabIndex={-1} onClick={() => toggle(source.source_id)}>
          Close
        </button>
      </span>
    </div>
  );
}

export function FailureLine(props: DetailProps) {
  const { error, name, source_id } = props.source;
  return (
    <div
      className="line failure warn"
      role="row"
      aria-rowindex={props.number}
      style={placed(props)}
      data-testid="failure"
      data-code={error?.code}
    >
      <span role="gridcell">
        <span className="words">
          <strong title={name}>{error?.message ?? "This file could not be read"}</strong>
          <span>{error?.hint}</span>
          <span className="quiet">Code: {error?.code ?? "unknown"}. It is tried again when the file changes.</span>
        </span>
        <button type="button" tabIndex={-1} onClick={() => toggle(source_id)}>
          Close
        </button>
      </span>
    </div>
  );
}
