#include "protocol/openai/schema/answer_schema.hpp"

#include "protocol/openai/schema/schema_text.hpp"
#include "protocol/text/json_text.hpp"
#include "protocol/text/json_tree.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/constraint_builder.hpp>
#include <valijson/constraints/concrete_constraints.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
#pragma GCC diagnostic pop

namespace gristmill::openai {
namespace {

using Adapter = valijson::adapters::NlohmannJsonAdapter;
using Context = std::vector<std::string>;

class PatternOfRe2 final : public valijson::constraints::PolyConstraint {
public:
  explicit PatternOfRe2(const std::string& pattern)
      : re_{std::make_shared<const RE2>(pattern, pattern_options())} {}

  bool validate(const valijson::adapters::Adapter& target, const Context& context,
                valijson::ValidationResults* results) const override {
    std::string text;
    if (!target.isString() || !target.asString(text) || RE2::PartialMatch(text, *re_)) return true;
    if (results != nullptr)
      results->pushError(context, "Failed to match the pattern " + re_->pattern());
    return false;
  }

private:
  valijson::constraints::Constraint* cloneInto(void* at) const override {
    return new (at) PatternOfRe2(*this);
  }
  std::size_t sizeOf() const override { return sizeof(PatternOfRe2); }

  std::shared_ptr<const RE2> re_;
};

struct TooCostly {};
thread_local std::uint64_t steps_left = 0; // of the check that this thread makes

class Step final : public valijson::constraints::PolyConstraint {
public:
  bool validate(const valijson::adapters::Adapter&, const Context&,
                valijson::ValidationResults*) const override {
    if (steps_left-- == 0) throw TooCostly{};
    return true;
  }

private:
  valijson::constraints::Constraint* cloneInto(void* at) const override {
    return new (at) Step(*this);
  }
  std::size_t sizeOf() const override { return sizeof(Step); }
};

class StepBuilder final : public valijson::ConstraintBuilder {
public:
  valijson::constraints::Constraint* make(const valijson::adapters::Adapter&) const override {
    return new Step;
  }
};

class PatternBuilder final : public valijson::ConstraintBuilder {
public:
  valijson::constraints::Constraint* make(const valijson::adapters::Adapter& value) const override {
    return new PatternOfRe2(value.asString());
  }
};

// "<root>", "[items]", "[3]" -> "/items/3"
std::string pointer_of(const Context& context) {
  nlohmann::json::json_pointer pointer;
  for (const std::string& step : context)
    if (step.starts_with('[') && step.ends_with(']')) pointer /= step.substr(1, step.size() - 2);
  return pointer.to_string();
}

} // namespace

struct AnswerSchema::Compiled {
  valijson::Schema schema;
};

Result<AnswerSchema> AnswerSchema::compile(std::string_view text) {
  const auto bad = [](std::string_view why) {
    return fail(ErrorCode::bad_input, fmt::format("expected a JSON schema: {}", why));
  };
  if (text.size() > bytes_max)
    return bad(fmt::format("at most {} bytes of it, got {}", bytes_max, text.size()));
  const auto tree = json::tree(text);
  if (!tree) return bad("it is no JSON: " + tree.error().message);
  auto prepared = prepared_schema(nlohmann::json(*tree));
  if (!prepared) return bad(prepared.error().message);
  AnswerSchema schema;
  auto compiled = std::make_shared<Compiled>();
  try {
    valijson::SchemaParser parser{valijson::SchemaParser::kDraft7};
    parser.addConstraintBuilder(std::string{own_pattern}, new PatternBuilder); // its own now
    parser.addConstraintBuilder(std::string{own_step}, new StepBuilder);
    parser.populateSchema(Adapter{*prepared}, compiled->schema);
  } catch (const std::exception& error) {
    return bad(json::printable(error.what(), 300));
  }
  schema.compiled_ = std::move(compiled);
  return schema;
}

std::optional<AnswerSchema::Misfit> AnswerSchema::check(std::string_view text) const {
  const auto tree = json::tree(text);
  if (!tree) return Misfit{"", json::printable(tree.error().message, 300)};
  const nlohmann::json answer(*tree); // the library takes no other kind
  valijson::Validator validator;
  const Adapter target{answer};
  valijson::ValidationResults results;
  try {
    steps_left = steps_max;
    if (validator.validate(compiled_->schema, target, nullptr)) return std::nullopt;
    steps_left = steps_max;
    validator.validate(compiled_->schema, target, &results);
  } catch (const TooCostly&) {
    return Misfit{"", fmt::format("it takes more than {} steps to see whether it fits", steps_max)};
  }
  // What lies deepest is what is wrong; the others say that something in them is.
  const valijson::ValidationResults::Error* deepest = nullptr;
  for (const auto& error : results)
    if (deepest == nullptr || error.context.size() > deepest->context.size()) deepest = &error;
  if (deepest == nullptr) return Misfit{"", "it does not fit"};
  std::string sentence = json::printable(deepest->description, 300);
  while (sentence.ends_with('.')) sentence.pop_back();
  return Misfit{pointer_of(deepest->context), std::move(sentence)};
}

std::string_view schema_to_check(const JobSpec& spec) {
  if (spec.policy.no_check) return {};
  const json::Value format = json::find(json::root(spec.shape.params), "response_format");
  if (json::text_of(json::find(format, "type")) != "json_schema") return {};
  const json::Value schema = json::find(json::find(format, "json_schema"), "schema");
  return schema.is(json::Kind::none) ? std::string_view{} : schema.text;
}

std::shared_ptr<const AnswerSchema> answer_schema_of(const JobSpec& spec) {
  const std::string_view text = schema_to_check(spec);
  if (text.empty()) return nullptr;
  auto schema = AnswerSchema::compile(text);
  return schema ? std::make_shared<const AnswerSchema>(std::move(*schema)) : nullptr;
}

} // namespace gristmill::openai
