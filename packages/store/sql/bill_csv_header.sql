-- bill_csv_header
select app.csv_header() as line
