#include "store_rows.hpp"

#include <fmt/format.h>

#include <iostream>

#include "base/csv.hpp"
#include "base/json.hpp"
#include "table.hpp"

namespace paceline {
namespace {

// As a person reads it.
std::string cell(const SqlValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{:.4g}", *number);
  return to_text(value);
}

Json json_of(const SqlValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return *whole;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (std::holds_alternative<std::monostate>(value)) return nullptr;
  return to_text(value);
}

}  // namespace

std::string rows_table(Store& store, const Question& question) {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> numeric;
  ask(store, question,
      {[&](const std::vector<std::string>& header) {
         names = header;
         numeric.assign(names.size(), true);
       },
       [&](const std::vector<SqlValue>& row) {
         rows.emplace_back();
         for (std::size_t i = 0; i < row.size(); ++i) {
           if (std::holds_alternative<std::string>(row[i])) numeric[i] = false;
           rows.back().push_back(cell(row[i]));
         }
       }});
  Table table;
  for (std::size_t i = 0; i < names.size(); ++i)
    table.column(names[i], numeric[i] ? Table::Align::right : Table::Align::left);
  for (auto& row : rows) table.row(std::move(row));
  return table.text();
}

void print_rows_csv(Store& store, const Question& question) {
  ask(store, question,
      {[](const std::vector<std::string>& header) { std::cout << csv_line(header); },
       [fields = std::vector<std::string>()](const std::vector<SqlValue>& row) mutable {
         fields.clear();
         for (const SqlValue& value : row) fields.push_back(to_text(value));
         std::cout << csv_line(fields);
       }});
}

void print_rows_json(Store& store, const Question& question) {
  std::vector<std::string> names;
  ask(store, question,
      {[&](const std::vector<std::string>& header) { names = header; },
       [&](const std::vector<SqlValue>& row) {
         Json json = Json::object();
         for (std::size_t i = 0; i < row.size(); ++i) json[names[i]] = json_of(row[i]);
         std::cout << json.dump() << '\n';
       }});
}

void print_results(Store& store, const Question& question) {
  const Store::StudyInfo study = store.study(question.study);
  Question numbers = question;
  numbers.columns = {"number"};
  numbers.columns.insert(numbers.columns.end(), study.axes.begin(), study.axes.end());
  ask(store, numbers,
      {[](const std::vector<std::string>&) {},
       [&](const std::vector<SqlValue>& row) {
         const auto number = std::get<std::int64_t>(row.front());
         Json labels = Json::object();
         for (std::size_t i = 1; i < row.size(); ++i) labels[study.axes[i - 1]] = to_text(row[i]);
         const Json line{{"number", number},
                         {"labels", std::move(labels)},
                         {"result", store.result(static_cast<std::uint64_t>(number))}};
         std::cout << line.dump() << '\n';
       }});
}

}  // namespace paceline
