#include "actors/intake/csv_parser.hpp"

#include "actors/kit/check.hpp"

#include <csv.h>

namespace gristmill::intake {
namespace {

constexpr unsigned char strict = CSV_STRICT | CSV_STRICT_FINI;
constexpr std::size_t growth_bytes = 16 * 1024;

} // namespace

// libcsv's parser and its callbacks, which know their owner by a pointer.
struct CsvParser::Machine {
  CsvParser& owner;
  char separator;
  csv_parser parser{};

  Machine(CsvParser& parser_of, char field_separator)
      : owner{parser_of}, separator{field_separator} {
    begin();
  }
  ~Machine() { csv_free(&parser); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void begin() {
    GRISTMILL_CHECK(csv_init(&parser, strict) == 0, "libcsv cannot be used");
    csv_set_delim(&parser, static_cast<unsigned char>(separator));
    csv_set_blk_size(&parser, growth_bytes);
    // Spaces are part of a field.
    csv_set_space_func(&parser, [](unsigned char) { return 0; });
  }

  static void on_field(void* text, std::size_t bytes, void* self) {
    CsvParser& owner = static_cast<Machine*>(self)->owner;
    if (owner.count_++ < owner.fields_max_)
      owner.fields_.emplace_back(static_cast<const char*>(text), bytes);
  }
  static void on_record(int, void* self) { static_cast<Machine*>(self)->owner.complete_ = true; }

  std::size_t parse(std::string_view piece) {
    const std::size_t taken =
        csv_parse(&parser, piece.data(), piece.size(), on_field, on_record, this);
    if (taken < piece.size() && csv_error(&parser) != CSV_EPARSE) throw std::bad_alloc{};
    return taken;
  }
};

CsvParser::CsvParser(char separator, std::size_t fields_max)
    : machine_{std::make_unique<Machine>(*this, separator)}, fields_max_{fields_max} {}

CsvParser::~CsvParser() = default;

CsvParser::State CsvParser::feed(std::string_view piece) {
  for (;;) {
    piece.remove_prefix(machine_->parse(piece));
    if (piece.empty()) return complete_ ? State::complete : State::open;
    if (piece.front() != '"') return State::faulty;
    // In the middle of a field without quotes this one is a character like others.
    csv_set_opts(&machine_->parser, 0);
    machine_->parse(piece.substr(0, 1));
    csv_set_opts(&machine_->parser, strict);
    piece.remove_prefix(1);
  }
}

CsvParser::State CsvParser::finish() {
  const int failed =
      csv_fini(&machine_->parser, Machine::on_field, Machine::on_record, machine_.get());
  return failed != 0 ? State::faulty : State::complete;
}

void CsvParser::reset() {
  const bool clean = complete_;
  fields_.clear();
  count_ = 0;
  complete_ = false;
  if (clean) return;
  csv_free(&machine_->parser);
  machine_->begin();
}

} // namespace gristmill::intake
