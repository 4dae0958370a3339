/** Lines below a source that is opened up: the name over its arrays, or why it could not be read. */

import { MiddleCut } from "../../ui/MiddleCut";
import { toggle } from "./live";
import { arraysWord, tailOf } from "./model";
import { type DetailProps, placed } from "./parts";

export function ArraysHeading(props: DetailProps) {
  const { source } = props;
  return (
    <div className="line heading" role="row" aria-rowindex={props.number} style={placed(props)}>
      <span role="gridcell">
        <strong title={source.name}>
          <MiddleCut text={source.name} tail={tailOf(source.name)} />
        </strong>
        <span className="quiet">{arraysWord(source)}</span>
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
          <strong title={error?.message}>{error?.message ?? `${name} could not be read`}</strong>
          <span title={error?.hint}>{error?.hint}</span>
          <span className="quiet">Code: {error?.code ?? "unknown"}. It is tried again when the file changes.</span>
        </span>
        <button type="button" tabIndex={-1} onClick={() => toggle(source_id)}>
          Close
        </button>
      </span>
    </div>
  );
}
