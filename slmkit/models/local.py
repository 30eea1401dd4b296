"""A transformers model in this process: any hub id or folder with a chat template.

Times: `latency_s` and `ttft_s` of a reply count from the start of the batch that it was answered in to its
last and first token, so they are what a caller waits at that batch size; for the latency of a single request
ask with `chat`. `logprob` is the sum over the generated tokens, the end token included (`usage.completion`
counts the same tokens), of the model's own log-probabilities, before temperature and constraint.
`usage.cached` counts the tokens of a prompt whose work was stored (see `prefix`).
Where `call_threshold` is set, or the model folder ships one, it decides between call and no call (see `decision`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slmkit import allocator
from slmkit.errors import InputError
from slmkit.models import hub, loading
from slmkit.models.base import Model, Request, Sampling
from slmkit.models.calling import decision
from slmkit.models.decoding import Generated, Prompt, batches, generate
from slmkit.models.messages import for_template, variants, with_schema, with_tools
from slmkit.models.parsing import parse
from slmkit.models.prefix import Prefixes, groups, shareable
from slmkit.models.reference import Reference
from slmkit.records import Reply, Usage

# Prompt tokens, padding included, and rows of one batch. On two cores a mini gains speed up to here; a larger
# model is bound by its products already at 4,096 tokens, and its cache must fit the memory.
BATCH_TOKENS = {"cpu": 4_096, "mps": 16_384, "cuda": 65_536}
BATCH_TOKENS_SMALL = 16_384
SMALL_PARAMETERS = 100_000_000
MAX_ROWS = {"cpu": 128, "mps": 64, "cuda": 256}


class LocalModel(Model):
    """Weights, tokenizer and call format of one model."""

    def __init__(
        self,
        ref: str,
        model: Any,
        tokenizer: Any,
        fingerprint: str = "",
        template: dict[str, Any] | None = None,
        call_threshold: float | None = None,
    ) -> None:
        """`template` holds further variables of the chat template, such as `{"enable_thinking": False}`.

        `call_threshold` is the least log-probability (nats) of a call; None: decoding decides.
        """
        self.ref = ref
        self.model = model
        self.tokenizer = tokenizer
        self.template = template or {}
        self.call_threshold = call_threshold
        self.notes = {}
        settings = [str(model.dtype).removeprefix("torch."), *([str(self.template)] if self.template else [])]
        settings += [f"call_threshold={call_threshold:g}"] if call_threshold is not None else []
        self.fingerprint = " ".join([fingerprint or ref, *settings])
        self.context = loading.context_tokens(model.config, tokenizer)
        self.ends = loading.end_tokens(model, tokenizer)
        small = model.num_parameters() < SMALL_PARAMETERS
        self.batch_tokens = max(BATCH_TOKENS.get(model.device.type, 4_096), BATCH_TOKENS_SMALL * small)
        self.max_rows = MAX_ROWS.get(model.device.type, 64)
        self.grammar: Any = None
        self.prefixes = Prefixes() if shareable(model) else None

    @classmethod
    def load(
        cls,
        reference: Reference,
        *,
        device: str = "auto",
        dtype: str = "auto",
        load_in_4bit: bool = False,
        template: dict[str, Any] | None = None,
        call_threshold: float | str | None = decision.SHIPPED,
    ) -> LocalModel:
        """The model that a reference names.

        `call_threshold` is "shipped" (the folder's own, where it has one), "off", or a log-probability (nats).
        Raises InputError, in one line, for what is no model folder, has no tokenizer or chat template, cannot
        be fetched, or asks for a device that is not there.
        """
        allocator.tune()
        loading.check_folder(reference)
        least = decision.threshold_of(reference, call_threshold)
        device = loading.pick_device(device)
        source = hub.source(reference)
        tokenizer = loading.load_tokenizer(reference, source)
        model = loading.load_weights(reference, source, device, dtype, load_in_4bit)
        fingerprint = loading.fingerprint(reference) + (" 4bit" if load_in_4bit else "")
        return cls(reference.text, model, tokenizer, fingerprint, template, least)

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        if self._bound(sampling) or self._decides(requests, sampling):
            self._load_grammar(requests, sampling)
        prompts: dict[int, Prompt] = {}
        for index, request in enumerate(requests):
            prompt = self._prompt(request, sampling)
            if isinstance(prompt, Prompt):
                prompts[index] = prompt
            else:
                yield index, prompt
        places = list(prompts)
        ids = [prompts[index].ids for index in places]
        for shared, members in groups(ids) if self.prefixes else [(0, range(len(ids)))]:
            # What is shared takes memory in each row, but no time.
            lengths = [len(ids[member]) - shared + shared // 4 for member in members]
            for batch in batches(lengths, self.batch_tokens, self.max_rows):
                indices = [places[members[place]] for place in batch]
                yield from self._run(indices, requests, prompts, sampling, shared)

    def render(self, messages: list[dict], tools: list[dict] | None = None, schema: dict | None = None) -> str:
        """The prompt as text, up to where the assistant goes on; raises what the template raises."""
        told, offered = for_template(messages), tools or None
        if offered and "tools" not in str(self.tokenizer.chat_template):
            told, offered = with_tools(told, offered), None
        errors = []
        for variant in variants(with_schema(told, schema)):
            try:
                return self.tokenizer.apply_chat_template(
                    variant, tools=offered, add_generation_prompt=True, tokenize=False, **self.template
                )
            except Exception as error:  # a template raises what it likes
                errors.append(error)
        raise errors[0]

    def _prompt(self, request: Request, sampling: Sampling) -> Prompt | Reply:
        """The prompt in tokens, or the failed reply where there can be none."""
        if misfit := request.misfit(sampling):
            return Reply(model=self.ref, error=misfit)
        try:
            text = self.render(request.messages, request.tools, request.schema)
        except Exception as error:  # for a role or an order of turns that the template refuses
            return Reply(model=self.ref, error=f"chat template: {loading._one_line(error)}")
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        if len(ids) >= self.context:
            error = f"context overflow: {len(ids):,} tokens > {self.context:,}"
            return Reply(model=self.ref, usage=Usage(prompt=len(ids)), error=error)
        seed = int(request.key("", sampling)[:15], 16)  # a row's own dice, whatever batch it lands in
        return Prompt(ids, min(sampling.max_tokens, self.context - len(ids)), seed)

    def _run(
        self,
        indices: list[int],
        requests: Sequence[Request],
        prompts: dict[int, Prompt],
        sampling: Sampling,
        shared: int,
    ) -> Iterator[tuple[int, Reply]]:
        """One batch; a batch that does not fit the device's memory is run in halves."""
        import torch

        rows = [prompts[index] for index in indices]
        thinking = [self._thinking(row.ids) for row in rows]
        asked = [requests[index] for index in indices]
        bound = self._bound(sampling)
        least = self.call_threshold if self._decides(asked, sampling) else None
        constraint = decision.constrain(self.grammar, asked, sampling, thinking, bound, least)
        try:
            outputs = generate(
                self.model,
                rows,
                ends=self.ends,
                pad=self._pad(),
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                constraint=constraint,
                stopped=self._stopped(sampling.stop) if sampling.stop else None,
                prefixes=self.prefixes,
                shared=shared,
            )
        except torch.OutOfMemoryError:
            if len(indices) == 1:
                tokens = len(rows[0].ids)
                error = f"out of memory at {tokens:,} tokens"
                yield indices[0], Reply(model=self.ref, usage=Usage(prompt=tokens), error=error)
                return
            half = len(indices) // 2
            yield from self._run(indices[:half], requests, prompts, sampling, shared)
            yield from self._run(indices[half:], requests, prompts, sampling, shared)
            return
        notes = constraint.notes if constraint else [""] * len(rows)
        for index, row, output, thinks, note in zip(indices, rows, outputs, thinking, notes, strict=True):
            if note:
                self.notes[requests[index].key(self.ref)] = note
            yield index, self._reply(requests[index], row, output, thinks, sampling)

    def _reply(self, request: Request, prompt: Prompt, output: Generated, thinks: bool, sampling: Sampling) -> Reply:
        ids = output.ids[:-1] if output.ids[-1] in self.ends else output.ids
        text = ("<think>" if thinks else "") + self._text(ids)
        for stop in sampling.stop:
            text = text.partition(stop)[0]
        parsed = parse(text, request.schemas(), calls=request.may_call(sampling))
        reasoning = len(self.tokenizer.encode(parsed.reasoning, add_special_tokens=False)) if parsed.reasoning else 0
        called = bool(parsed.tool_calls) and output.finish_reason == "stop"
        return Reply(
            content=self._plain(parsed.content),
            tool_calls=parsed.tool_calls,
            malformed=parsed.malformed,
            reasoning=parsed.reasoning,
            usage=Usage(prompt=len(prompt.ids), cached=output.cached, completion=len(output.ids), reasoning=reasoning),
            ttft_s=output.ttft_s,
            latency_s=output.latency_s,
            logprob=output.logprob,
            finish_reason="tool_calls" if called else output.finish_reason,
            model=self.ref,
        )

    def _bound(self, sampling: Sampling) -> bool:
        return sampling.constrained or sampling.tool_choice != "auto"

    def _decides(self, requests: Sequence[Request], sampling: Sampling) -> bool:
        """Whether a threshold has a say between call and no call."""
        return self.call_threshold is not None and any(r.tools and r.may_call(sampling) for r in requests)

    def _load_grammar(self, requests: Sequence[Request], sampling: Sampling) -> None:
        """Build the maker of constraints at first use; InputError where calls have no known form."""
        from slmkit.models.callformat import call_format
        from slmkit.models.grammar import CallGrammar

        template = str(self.tokenizer.chat_template)
        form = call_format(template)
        if form is None and sampling.tool_choice != "none" and any(request.tools for request in requests):
            asked = "constrained=True" if sampling.constrained else f"tool_choice={sampling.tool_choice!r}"
            raise InputError(f"{self.ref}: {asked} cannot be had, its form of calls is not known")
        if self.grammar is None:
            vocab_size = self.model.get_output_embeddings().weight.shape[0]
            self.grammar = CallGrammar(self.tokenizer, vocab_size, self.ends, form, thinks="<think>" in template)

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def _plain(self, content: str) -> str:
        for mark in self.tokenizer.all_special_tokens:
            content = content.replace(mark, "")
        return content.strip()

    def _thinking(self, ids: list[int]) -> bool:
        return self._text(ids[-4:]).rstrip().endswith("<think>")

    def _stopped(self, stop: tuple[str, ...]) -> Any:
        reach = max(len(text.encode()) for text in stop) + 8  # a token is a byte at least
        return lambda ids: any(text in self._text(ids[-reach:]) for text in stop)

    def _pad(self) -> int:
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else min(self.ends, default=0)
