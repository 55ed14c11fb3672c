// CSV PARSER: one record at a time out of pieces of text (RFC 4180 by libcsv). A quote inside a
// field that does not begin with one stands for itself, as everywhere; text after a closing quote
// is a fault, because that is what a quote looks like that somebody forgot to close. Invariant: no
// more than `fields_max` fields are kept, however many a record has.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::intake {

class CsvParser {
public:
  CsvParser(char separator, std::size_t fields_max);
  ~CsvParser();

  enum class State : std::uint8_t { open, complete, faulty };
  // At most one record may end in a piece: the caller cuts behind each line end.
  State feed(std::string_view piece);
  State finish(); // at the end of the input; faulty when a quote is still open
  void reset();   // before another record

  const std::vector<std::string>& fields() const { return fields_; }
  std::size_t count() const { return count_; } // of fields, also of those that were not kept

private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
  std::size_t fields_max_;
  std::vector<std::string> fields_;
  std::size_t count_ = 0;
  bool complete_ = false;
};

} // namespace gristmill::intake
